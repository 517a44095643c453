package main

import (
	"io"
	"log/slog"
)

// newLogger makes the program's logger. Levels: Error is for what a person must act on, Warn for what is degraded, Info
// for the course of the program's life. No event or decision is ever logged.
func newLogger(cfg LogConfig, w io.Writer) *slog.Logger {
	level := slog.LevelInfo
	switch cfg.Level {
	case "debug":
		level = slog.LevelDebug
	case "warn":
		level = slog.LevelWarn
	case "error":
		level = slog.LevelError
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
