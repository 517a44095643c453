//go:build rivals

#define _GNU_SOURCE
#include "rivals.h"

#include <dlfcn.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "onnxruntime_c_api.h"

struct rival {
	const rows *in;
	void (*score)(rival *r, int first, int count, double *margins);
	void *booster, *fast;
	int contributions;
	void **matrices; // XGBoost's, one for each batch of rows
	int batch;
	const OrtApi *ort;
	OrtSession *session;
	OrtValue *input;
	float *buffer;
};

int64_t thread_nanoseconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void run(rival *r, int first, int count, double *margins) { r->score(r, first, count, margins); }

static _Noreturn void fail(const char *what, const char *why) {
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void *load(const char *path) {
	void *h = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!h) fail("cannot load a library", dlerror());
	return h;
}

static void *symbol(void *library, const char *name) {
	void *s = dlsym(library, name);
	if (!s) fail("cannot find a symbol", dlerror());
	return s;
}

static rival *make(const rows *in) {
	rival *r = calloc(1, sizeof *r);
	r->in = in;
	return r;
}

// LightGBM: include/LightGBM/c_api.h. 1 is C_API_PREDICT_RAW_SCORE and C_API_DTYPE_FLOAT64, 3 is C_API_PREDICT_CONTRIB.

static int (*lightgbm_fast)(void *config, const void *row, int64_t *count, double *out);
static int (*lightgbm_matrix)(void *booster, const void *data, int type, int32_t rows, int32_t columns, int row_major, int kind,
                              int start, int iterations, const char *parameters, int64_t *count, double *out);

static void score_lightgbm(rival *r, int first, int count, double *margins) {
	double out[512];
	int64_t n;
	for (int i = 0; i < count; i++) {
		const double *row = r->in->wide + (size_t)((first + i) % r->in->count) * r->in->features;
		if (lightgbm_fast(r->fast, row, &n, out)) fail("LightGBM", "cannot predict");
		double sum = out[0];
		for (int j = 1; j < n; j++) sum += out[j];
		margins[i] = sum;
	}
}

rival *open_lightgbm(const char *library, const char *model, const rows *in, int contributions) {
	rival *r = make(in);
	void *h = load(library);
	int iterations;
	int (*create)(const char *, int *, void **) = symbol(h, "LGBM_BoosterCreateFromModelfile");
	int (*init)(void *, int, int, int, int, int32_t, const char *, void **) = symbol(h, "LGBM_BoosterPredictForMatSingleRowFastInit");
	lightgbm_fast = symbol(h, "LGBM_BoosterPredictForMatSingleRowFast");
	lightgbm_matrix = symbol(h, "LGBM_BoosterPredictForMat");
	if (create(model, &iterations, &r->booster)) fail("LightGBM", "cannot load the model");
	if (init(r->booster, contributions ? 3 : 1, 0, -1, 1, in->features, "num_threads=1", &r->fast)) fail("LightGBM", "cannot prepare");
	r->score = score_lightgbm;
	return r;
}

void run_batch(rival *r, const double *matrix, int count, int threads, double *margins) {
	char parameters[32];
	int64_t n;
	snprintf(parameters, sizeof parameters, "num_threads=%d", threads);
	if (lightgbm_matrix(r->booster, matrix, 1, count, r->in->features, 1, 1, 0, -1, parameters, &n, margins))
		fail("LightGBM", "cannot predict a matrix");
}

// XGBoost: include/xgboost/c_api.h. The matrices are made before the clock runs.

static int (*xgboost_predict)(void *booster, void *matrix, const char *config, const uint64_t **shape, uint64_t *dim, const float **out);

static void score_xgboost(rival *r, int first, int count, double *margins) {
	const uint64_t *shape;
	uint64_t dim;
	const float *out;
	static const char config[] =
		"{\"type\":2,\"training\":false,\"iteration_begin\":0,\"iteration_end\":0,\"strict_shape\":true}";
	if (count != r->batch || first % r->batch) fail("XGBoost", "asked for something else than a batch");
	if (xgboost_predict(r->booster, r->matrices[first / r->batch % (r->in->count / r->batch)], config, &shape, &dim, &out))
		fail("XGBoost", "cannot predict");
	int width = r->in->features + 1;
	for (int i = 0; i < count; i++) {
		double sum = 0;
		for (int j = 0; j < width; j++) sum += out[(size_t)i * width + j];
		margins[i] = sum;
	}
}

rival *open_xgboost(const char *library, const char *model, const rows *in, int batch) {
	rival *r = make(in);
	void *h = load(library);
	int (*create)(void *, uint64_t, void **) = symbol(h, "XGBoosterCreate");
	int (*read)(void *, const char *) = symbol(h, "XGBoosterLoadModel");
	int (*set)(void *, const char *, const char *) = symbol(h, "XGBoosterSetParam");
	int (*matrix)(const char *, const char *, void **) = symbol(h, "XGDMatrixCreateFromDense");
	xgboost_predict = symbol(h, "XGBoosterPredictFromDMatrix");
	if (create(0, 0, &r->booster) || read(r->booster, model) || set(r->booster, "nthread", "1")) fail("XGBoost", "cannot load the model");
	r->batch = batch;
	r->matrices = calloc(in->count / batch, sizeof *r->matrices);
	for (int i = 0; i < in->count / batch; i++) {
		char array[200];
		snprintf(array, sizeof array, "{\"data\":[%lu,false],\"shape\":[%d,%d],\"typestr\":\"<f4\",\"version\":3}",
		         (unsigned long)(in->narrow + (size_t)i * batch * in->features), batch, in->features);
		if (matrix(array, "{\"missing\":NaN,\"nthread\":1}", &r->matrices[i])) fail("XGBoost", "cannot make a matrix");
	}
	r->score = score_xgboost;
	return r;
}

// ONNX Runtime: the tensor is made once, and a row is copied into it.

static void ort(rival *r, OrtStatus *s) {
	if (s) fail("ONNX Runtime", r->ort->GetErrorMessage(s));
}

static void score_onnxruntime(rival *r, int first, int count, double *margins) {
	const char *input[] = {"x"}, *output[] = {"probabilities"};
	size_t width = (size_t)r->in->features;
	for (int i = 0; i < count; i++) {
		OrtValue *out = NULL;
		float *p;
		memcpy(r->buffer, r->in->narrow + (size_t)((first + i) % r->in->count) * width, width * sizeof(float));
		ort(r, r->ort->Run(r->session, NULL, input, (const OrtValue *const *)&r->input, 1, output, 1, &out));
		ort(r, r->ort->GetTensorMutableData(out, (void **)&p));
		margins[i] = p[1]; // a probability: the margin would cost a logarithm
		r->ort->ReleaseValue(out);
	}
}

rival *open_onnxruntime(const char *library, const char *model, const rows *in) {
	rival *r = make(in);
	const OrtApiBase *(*base)(void) = (const OrtApiBase *(*)(void))symbol(load(library), "OrtGetApiBase");
	OrtEnv *env;
	OrtSessionOptions *options;
	OrtMemoryInfo *memory;
	int64_t shape[2] = {1, in->features};
	r->ort = base()->GetApi(ORT_API_VERSION);
	if (!r->ort) fail("ONNX Runtime", "the library is older than its header");
	r->buffer = calloc((size_t)in->features, sizeof(float));
	ort(r, r->ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "rivals", &env));
	ort(r, r->ort->CreateSessionOptions(&options));
	ort(r, r->ort->SetIntraOpNumThreads(options, 1));
	ort(r, r->ort->SetInterOpNumThreads(options, 1));
	ort(r, r->ort->CreateSession(env, model, options, &r->session));
	ort(r, r->ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
	ort(r, r->ort->CreateTensorWithDataAsOrtValue(memory, r->buffer, (size_t)in->features * sizeof(float), shape, 2,
	                                             ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &r->input));
	r->score = score_onnxruntime;
	return r;
}
