/* Measures one perturbed network: samples from plain noise against the target, and two losses; for src/run/ only. */
#ifndef BD_RUN_ANP_PROBE_H
#define BD_RUN_ANP_PROBE_H

#include "run/anp_rows.h"
#include "run/stages.h"
#include "train/loss_meter.h"
#include "train/sampling.h"

typedef struct {
    const bd_stage_run *x; /* of kind anp, with inputs model, data and target */
    const bd_dataset *data;
    bd_model model; /* as it was */
    bd_schedule schedule;
    bd_sampler_plan plan;
    bd_sampler_engine *sampler;
    bd_loss_meter *clean, *backdoor;
    float *trigger, *tau; /* [S,S,C] in [-1,1] */
    float (*coef_clean)[4], (*coef_backdoor)[4];
    uint8_t *poisoned; /* [data->n] */
    float *target;     /* [S,S,C] in [0,1] */
    double variance;   /* of target        */
    bd_params folded;  /* the perturbed network's weights */
    bd_pixels samples;
    double *mse, *ssim, *deviation; /* [n] */
} bd_anp_probe;

/* bd_anp_probe_init -- read the model, compile the networks. On failure clear it too.
 *   errors   BD_E_ARG: anp.n is more than the data set has, or a flat target; BD_E_SHAPE */
BD_MUST_CHECK bd_status bd_anp_probe_init(bd_anp_probe *p, bd_stage_run *x);
void bd_anp_probe_clear(bd_anp_probe *p); /* an all-zero struct is fine */

/* bd_anp_probe_train -- the clean training job that the perturbation climbs, and that bd_loss_meter measures. */
bd_train_spec bd_anp_probe_train(const bd_anp_probe *p);

/* bd_anp_probe_measure -- all of the row but epoch and updates; the samples stay in p->samples.
 *   errors   BD_E_INTERRUPT: stopped; those of bd_sample */
BD_MUST_CHECK bd_status bd_anp_probe_measure(bd_anp_row *row, bd_anp_probe *p,
                                             const bd_params *affine);

/* bd_anp_probe_inputs -- AUROC of the trivial detector (defense/input.h), starting points of triggered samples against
 * those of plain ones, as many as there are samples. */
BD_MUST_CHECK bd_status bd_anp_probe_inputs(double *by_mean, double *by_variance,
                                            const bd_anp_probe *p);

#endif
