/* placeholder until base lands */
#ifndef BD_BASE_MATHFN_H
#define BD_BASE_MATHFN_H
float bd_expf(float x);
#endif
