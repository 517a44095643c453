// The libraries that pitboss is measured against, called from C so that a call costs what it costs them.
#include <stdint.h>

typedef struct rival rival;

// rows are what all rivals of one shape score: the same values twice, since some take float64 and some float32.
typedef struct {
	const double *wide;
	const float *narrow;
	int features;
	int count;
} rows;

// Each returns NULL after writing why to standard error.
rival *open_lightgbm(const char *library, const char *model, const rows *in, int contributions);
rival *open_xgboost(const char *library, const char *model, const rows *in, int batch);
rival *open_onnxruntime(const char *library, const char *model, const rows *in);

// run scores rows first to first+count, modulo all rows, and writes a margin (or the sum of a row's contributions) for each.
void run(rival *r, int first, int count, double *margins);

// run_batch is LightGBM's prediction for a whole matrix, on a number of threads.
void run_batch(rival *r, const double *matrix, int count, int threads, double *margins);

// thread_nanoseconds is the processor time of the calling thread.
int64_t thread_nanoseconds(void);
