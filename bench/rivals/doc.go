//go:build rivals

// Command rivals measures the model engine side by side with the libraries that it is held against: LightGBM's C API,
// XGBoost, onnxruntime and leaves, one thread, in one run, in turn. make bench-models fetches them, makes the models
// and runs it. Start reading at main in main.go.
//
// Usage: rivals DATA LIGHTGBM XGBOOST ONNXRUNTIME [ROUNDS], the directory that gen.py wrote and three shared libraries.
package main
