/* Winograd's F(4x4, 3x3) from its definition, in float32 and with a choice of points, as an oracle of how much is lost:
 * pieces d of the input are evaluated by B^T d B and filters by G g G^T (in double, rounded once), A^T m A interpolates.
 * Images are square, their side a multiple of 4, padded by one pixel; as many channels go in as come out. */
#ifndef BD_TESTS_CONV_TEXTBOOK_H
#define BD_TESTS_CONV_TEXTBOOK_H

typedef struct {
    double bt[6][6], g[6][3], at[4][6];
} textbook_points;

/* textbook_points_of -- 0, +-a, +-b and infinity. */
textbook_points textbook_points_of(double a, double b);

/* textbook_image -- y [n,h,h,c] of x [n,h,h,c] and w [3,3,c,c]. */
void textbook_image(float *y, const float *x, const float *w, int n, int h, int c,
                    const textbook_points *t);

/* textbook_weight -- dw [3,3,c,c] of x and dy [n,h,h,c]. */
void textbook_weight(float *dw, const float *x, const float *dy, int n, int h, int c,
                     const textbook_points *t);

#endif
