package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"pitboss/features"
	"pitboss/registry"
	"pitboss/server"
)

// reloader reads the bundle again while the server serves.
type reloader struct {
	app *app

	mu sync.Mutex // guards kept; held over a whole change, which is one at a time
	// kept are the sets that the engine keeps.
	kept []*features.Set

	// waiting is the bundle that decides when its groups are built, nil without one; it is set under mu.
	waiting atomic.Pointer[registry.Bundle]
	wake    chan struct{}

	loaded, refused atomic.Uint64
}

var _ server.Reloader = (*reloader)(nil)

func newReloader(a *app) *reloader {
	return &reloader{app: a, kept: a.sets, wake: make(chan struct{}, 1)}
}

// ReloadBundle implements server.Reloader. Nothing that decides waits for it but for the engine's switch of its plan, and
// that only where the feature set is another one.
func (r *reloader) ReloadBundle(ctx context.Context) (server.BundleState, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.waiting.Load() != nil {
		return server.BundleState{}, server.ErrBundleWaits
	}
	// A caller that goes away must not leave half of it.
	b, err := r.prepare(context.WithoutCancel(ctx))
	if err != nil {
		r.refused.Add(1)
		r.app.log.Error("the bundle is refused, the one before serves on", "error", err)
		return server.BundleState{}, server.ErrBundleRefused
	}
	state := server.BundleState{Name: b.Name, Version: b.Version, Hash: hex.EncodeToString(b.Hash[:]), State: "backfilling"}
	r.waiting.Store(b)
	if !r.serve() {
		r.app.log.Info("bundle loaded: it decides when its groups are built", "name", b.Name, "version", b.Version)
		r.wake <- struct{}{} // there is room: whoever took the last one saw to it that nothing waits
		return state, nil
	}
	state.State = "serving"
	return state, nil
}

// prepare loads the bundle, with its golden rows, and has the engine keep its feature set beside the one that is served.
func (r *reloader) prepare(ctx context.Context) (*registry.Bundle, error) {
	if r.app.cfg.Bundle == "" {
		return nil, errors.New("the configuration names no bundle")
	}
	b, err := r.app.registry.Prepare(r.app.cfg.path(r.app.cfg.Bundle))
	if err != nil {
		return nil, err
	}
	if err := r.app.cfg.checkServices(b.Set); err != nil {
		return nil, fmt.Errorf("bundle %q: %w", b.Name, err)
	}
	if readsTimeline(b.Set) && !r.app.followed {
		return nil, errors.New("its feature set reads the source timeline, which nobody follows: say timeline.live: true and start again")
	}
	has := func(s *features.Set) bool { return s.Hash == b.Set.Hash }
	if slices.ContainsFunc(r.kept, has) {
		return b, nil
	}
	// Decisions that have begun read by the set before, and so does everybody until the new one's groups are built.
	sets := []*features.Set{b.Set}
	if old := r.app.registry.Active(); old != nil {
		sets = append(sets, old.Set)
	}
	if r.app.next != nil {
		sets = append(sets, r.app.next)
	}
	if err := r.app.engine.Use(ctx, sets...); err != nil {
		return nil, fmt.Errorf("cannot keep the feature set of bundle %q: %w", b.Name, err)
	}
	r.kept = sets
	return b, nil
}

// serve makes the bundle that waits the active one, if its groups are there.
func (r *reloader) serve() bool {
	if r.app.engine.Backfill().Running() {
		return false
	}
	b := r.waiting.Load()
	if err := r.app.registry.Activate(b); err != nil {
		panic("BUG: a bundle that was prepared is not known: " + err.Error())
	}
	r.waiting.Store(nil)
	r.loaded.Add(1)
	r.app.log.Info("bundle loaded", bundleAttrs(b)...)
	return true
}

// run sees to it that a bundle whose groups were built decides. It returns when ctx ends.
func (r *reloader) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		}
		for !r.serve() {
			if !sleepUntil(ctx, time.Now().Add(backfillLook)) {
				return nil
			}
		}
	}
}
