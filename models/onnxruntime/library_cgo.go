//go:build cgo

package onnxruntime

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	ort "github.com/yalue/onnxruntime_go"
)

// environment is ONNX Runtime's, of which a process has one: the binding keeps it in package variables of its own, opens it
// without a lock, and the library's threads make it unsafe to close.
type environment struct {
	mu      sync.Mutex // guards all below but live, and the binding's own variables; held while the library is opened
	library string     // empty until it is open
	// live counts sessions that were not destroyed yet.
	live atomic.Int64
}

// process is the one exception to having no variables of a package, for the reason above.
var process = environment{}

// openLibrary opens the library and gives its version.
func openLibrary(cfg Config) (version string, err error) {
	if err := process.open(cfg); err != nil {
		return "", err
	}
	return ort.GetVersion(), nil
}

// open opens the library, once for the process.
func (e *environment) open(cfg Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case cfg.Library == "":
		return fmt.Errorf("no shared library is named: set onnxruntime.library in the configuration or PITBOSS_ONNXRUNTIME, or put it beside pitboss: %w", ErrLibrary)
	case e.library == cfg.Library:
		return nil
	case e.library != "":
		return fmt.Errorf("this process runs the library %q already, and cannot open %q: %w", e.library, cfg.Library, ErrLibrary)
	}
	if info, err := os.Stat(cfg.Library); err != nil {
		return fmt.Errorf("cannot find its shared library: %w: %w", err, ErrLibrary)
	} else if !info.Mode().IsRegular() {
		return fmt.Errorf("%q is no file: name the shared library itself: %w", cfg.Library, ErrLibrary)
	}
	ort.SetSharedLibraryPath(cfg.Library)
	if err := ort.InitializeEnvironment(ort.WithLogLevelFatal()); err != nil {
		if strings.Contains(err.Error(), "ORT API base") {
			return fmt.Errorf("%q is older than version 1.%d: take 1.%d or later (%s is tested): %w",
				cfg.Library, MinorVersion, MinorVersion, LibraryVersion, ErrLibrary)
		}
		return fmt.Errorf("cannot open %q: %w: %w", cfg.Library, err, ErrLibrary)
	}
	if err := boundMemory(cfg.MaxTensorBytes); err != nil {
		return fmt.Errorf("cannot bound the memory of ONNX Runtime: %w: %w", err, ort.DestroyEnvironment())
	}
	e.library = cfg.Library
	return nil
}

// boundMemory makes an arena of a bounded size that all sessions share.
func boundMemory(bytes int64) error {
	if bytes <= 0 {
		bytes = DefaultTensorBytes
	}
	memory, err := ort.GetMemoryInfo()
	if err != nil {
		return fmt.Errorf("no memory is known: %w", err)
	}
	const byDefault = -1
	arena, err := ort.NewArenaCfg(int(bytes), byDefault, byDefault, byDefault)
	if err != nil {
		return fmt.Errorf("no arena: %w", err)
	}
	defer arena.Destroy()
	if err := ort.CreateAndRegisterAllocator(memory, arena); err != nil {
		return fmt.Errorf("no allocator: %w", err)
	}
	return nil
}
