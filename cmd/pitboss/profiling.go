package main

import (
	"fmt"
	"log/slog"

	"github.com/grafana/pyroscope-go"
)

// startProfiling sends CPU and heap profiles to Pyroscope, if configured, until stop is called.
func startProfiling(cfg ProfilingConfig, log *slog.Logger) (stop func() error, err error) {
	if cfg.PyroscopeServer == "" {
		return func() error { return nil }, nil
	}
	profiler, err := pyroscope.Start(pyroscope.Config{
		ApplicationName: cfg.Application,
		ServerAddress:   cfg.PyroscopeServer,
		Tags:            map[string]string{"build": buildString()},
		ProfileTypes: []pyroscope.ProfileType{
			pyroscope.ProfileCPU, pyroscope.ProfileAllocSpace, pyroscope.ProfileInuseSpace, pyroscope.ProfileGoroutines,
		},
		DisableGCRuns: true, // its forced collections would show in the latency of decisions
	})
	if err != nil {
		return nil, fmt.Errorf("cannot start profiling to %q: %w", cfg.PyroscopeServer, err)
	}
	log.Info("sending profiles", "server", cfg.PyroscopeServer, "application", cfg.Application)
	return profiler.Stop, nil
}
