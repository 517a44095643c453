// Package registry holds bundles: a model with its feature set, calibration, thresholds, reasons and the proof that it
// gives here what it gave its trainer.
//
// A bundle is believed only after every file was hashed, every name resolved and every golden row scored again
// (train/BUNDLE.md has the format). [Registry.Active] is one atomic load of an immutable value, so a decision never
// waits for a change and never sees half of one; [Registry.Get] finds the bundle of an old record by its hash, since
// bundles live as long as the records made by them.
//
// It does not score events, choose outcomes or know what a decision is: that is package decide. Stages, aliases and
// promotion are not here yet.
//
// Start reading at [Load] in bundle.go, then [Policy] in policy.go and [Reasons] in reasons.go.
package registry

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pitboss/features"
	"pitboss/models"
	"pitboss/models/onnxruntime"
)

// ErrUnknown says that no bundle has the hash that a record names.
var ErrUnknown = errors.New("no such bundle")

// maxLoaded bounds how many bundles are kept in RAM when the store can give them again.
const maxLoaded = 8

// Config configures a Registry.
type Config struct {
	// Store is the directory that keeps every used bundle by its hash, so that old decisions can be replayed. Empty:
	// in RAM only, for tests and passes over history; they are forgotten with the process.
	Store string
	// Kinds are the entity kinds of the configuration. Needed.
	Kinds *features.Kinds
	// Sources are what feature sets may name as sources.
	Sources []features.Source
	// Limits bound models. Default models.DefaultLimits.
	Limits models.Limits
	// ONNXRuntime is for bundles whose manifest asks for that backend. Default: there is none, and they are refused.
	ONNXRuntime onnxruntime.Config
	// MaxRow is how long one row of a model that decides may take (Bundle.Servable). Default 0: any time.
	MaxRow time.Duration
}

func (c *Config) limits() models.Limits {
	if c.Limits == (models.Limits{}) {
		return models.DefaultLimits()
	}
	return c.Limits
}

// Registry knows the active bundle and those of the past.
type Registry struct {
	cfg      Config
	fallback *Policy
	active   atomic.Pointer[Bundle]

	change sync.Mutex // guards the store's directory and the order of changes; taken before mu, held over I/O

	mu     sync.Mutex // guards all below; never held over I/O
	loaded []*Bundle  // most recently used last
}

// Open opens the registry and its store, and has no active bundle yet.
func Open(cfg Config) (*Registry, error) {
	if cfg.Kinds == nil {
		return nil, fmt.Errorf("cannot open the registry: Config.Kinds is needed")
	}
	if cfg.Store != "" {
		if err := openStore(cfg.Store); err != nil {
			return nil, fmt.Errorf("cannot open the registry's store %q: %w", cfg.Store, err)
		}
	}
	return &Registry{cfg: cfg, fallback: FallbackPolicy()}, nil
}

// Active gives the bundle that decides now, nil while there is none.
func (r *Registry) Active() *Bundle { return r.active.Load() }

// Fallback gives the policy of decisions made while there is no bundle.
func (r *Registry) Fallback() *Policy { return r.fallback }

// Use loads the bundle in dir, keeps a copy in the store and makes it the active one. On error nothing changes.
func (r *Registry) Use(dir string) (*Bundle, error) {
	b, err := r.Prepare(dir)
	if err != nil {
		return nil, err
	}
	r.active.Store(b)
	return b, nil
}

// Prepare is Use without making the bundle the active one: Activate does, once its feature set can be read.
func (r *Registry) Prepare(dir string) (*Bundle, error) {
	r.change.Lock()
	defer r.change.Unlock()
	b, c, err := load(dir, r.cfg)
	if err != nil {
		return nil, err
	}
	if err := b.Servable(r.cfg.MaxRow); err != nil {
		return nil, err
	}
	if r.cfg.Store != "" {
		if err := store(r.cfg.Store, c, r.cfg.limits()); err != nil {
			return nil, fmt.Errorf("cannot keep bundle %q in the store: %w", dir, err)
		}
		if err := noteCost(r.cfg.Store, b); err != nil {
			return nil, fmt.Errorf("cannot keep the cost of bundle %q in the store: %w", dir, err)
		}
		b.stored = true
	}
	if old := r.find(b.Hash); old != nil {
		b = old
	}
	r.keep(b)
	return b, nil
}

// Activate makes a loaded bundle the active one: one that Prepare gave, or any that is servable in a registry without a store.
func (r *Registry) Activate(b *Bundle) error {
	if err := b.Servable(r.cfg.MaxRow); err != nil {
		return err
	}
	if r.cfg.Store != "" && !b.stored {
		return fmt.Errorf("cannot activate bundle %q: this registry keeps what it uses, so it needs the directory (Prepare)", b.Name)
	}
	r.keep(b)
	r.active.Store(b)
	return nil
}

// Get gives the bundle with this hash: one that was used by this process, or one of the store. It wraps ErrUnknown if
// there is none.
func (r *Registry) Get(hash [32]byte) (*Bundle, error) {
	if b := r.find(hash); b != nil {
		r.keep(b)
		return b, nil
	}
	r.change.Lock()
	defer r.change.Unlock()
	if b := r.find(hash); b != nil { // loaded while we waited
		return b, nil
	}
	if r.cfg.Store == "" {
		return nil, fmt.Errorf("cannot find bundle %x: %w", hash, ErrUnknown)
	}
	b, err := fromStore(r.cfg.Store, hash, r.cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot find bundle %s: %w", hex.EncodeToString(hash[:]), err)
	}
	r.keep(b)
	return b, nil
}

func (r *Registry) find(hash [32]byte) *Bundle {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.loaded {
		if b.Hash == hash {
			return b
		}
	}
	return nil
}

// keep makes b the most recently used, and lets the least recently used go if the store still has it.
func (r *Registry) keep(b *Bundle) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.loaded = slices.DeleteFunc(r.loaded, func(o *Bundle) bool { return o == b })
	r.loaded = append(r.loaded, b)
	if r.cfg.Store != "" && len(r.loaded) > maxLoaded {
		r.loaded = slices.Delete(r.loaded, 0, 1)
	}
}
