/* Compare a model or a sampler with reference numbers from another implementation. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/parity_sampler.h"
#include "cli/verbs.h"
#include "nn/parity.h"
#include "run/device.h"

enum { WORST_SHOWN = 5 };

static bd_status network(double *worst, const char *dir, const bd_backend *b, bd_pool *pool) {
    bd_parity p;
    BD_TRY(bd_parity_network(&p, dir, b, pool));
    printf("output: error %.3e\n", p.output);
    printf("loss: error %.3e (%.9g, reference %.9g)\n", p.loss, p.loss_value, p.loss_reference);
    for (int i = 0; i < p.n_grads && i < WORST_SHOWN; i++)
        printf("grad.%s: error %.3e (norm %.3e)\n", p.grad[i].name, p.grad[i].error,
               p.grad[i].norm);
    *worst = bd_parity_worst(&p);
    bd_parity_clear(&p);
    return BD_OK;
}

static bd_status sampler(double *worst, const char *dir, const bd_backend *b, bd_pool *pool) {
    BD_TRY(bd_parity_sampler(worst, dir, b, pool));
    printf("final: error %.3e\n", *worst);
    return BD_OK;
}

static bd_status parity(double *worst, const char *dir, int threads, const char *device,
                        const char *precision) {
    char path[4096];
    bd_pool *pool;
    int workers;
    bd_backend b;
    BD_TRY(bd_device_open(&b, device, precision));
    BD_TRY(bd_path_join(path, sizeof path, dir, "sampler.json"));
    BD_TRY(bd_cli_threads(&workers, threads));
    BD_TRY(bd_pool_create(&pool, workers));
    bd_status st =
        bd_file_exists(path) ? sampler(worst, dir, &b, pool) : network(worst, dir, &b, pool);
    bd_pool_destroy(pool);
    return st;
}

int bd_cli_parity(int argc, char **argv) {
    double tol = 1e-3;
    int threads = 0;
    const char *device = "cpu", *precision = "f32";
    const bd_opt opts[] = {
        {0, "tol", BD_OPT_DOUBLE, "ERROR", &tol, 0, 1e9, "largest relative error that passes"},
        {0, "device", BD_OPT_TEXT, "NAME", &device, 0, 0,
         "where to run: cpu, auto (a CUDA device if there is one), cuda, cuda:K"},
        {0, "precision", BD_OPT_TEXT, "NAME", &precision, 0, 0,
         "f32; on a CUDA device also tf32, bf16, fp16 (with a --tol to suit)"},
        {0, "threads", BD_OPT_INT, "N", &threads, 0, 1024, "worker threads; 0 = all processors"}};
    const bd_cmd cmd = {"parity DIR [options]",
                        "Runs the model of DIR on DIR/case.safetensors and compares output, loss "
                        "and all gradients\n"
                        "with the reference in that file; with DIR/sampler.json, a sampler's "
                        "result. The last line\n"
                        "is `parity: PASS`, or `parity: FAIL` with exit code 3.",
                        opts,
                        sizeof opts / sizeof *opts,
                        1,
                        1};
    char **args;
    int n_args, code = bd_cli_parse(&args, &n_args, &cmd, argc, argv);
    if (code != BD_CLI_GO_ON) return code;
    double worst;
    bd_status st = parity(&worst, args[0], threads, device, precision);
    if (st) return bd_cli_fail(st);
    bool pass = worst <= tol; /* not for NaN */
    printf("parity: %s\n", pass ? "PASS" : "FAIL");
    return pass ? 0 : 3;
}
