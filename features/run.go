package features

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// lookEvery is how often Run looks whether something is due.
const lookEvery = 250 * time.Millisecond

// Run makes checkpoints, sweeps idle entities, backfills new groups, and recovers after a failed write, until ctx ends; then it returns nil. What fails is tried
// again and counted: the engine refuses or waits meanwhile, and loses nothing.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { e.runFill(ctx) })
	defer wg.Wait()
	look := time.NewTicker(min(lookEvery, e.cfg.CheckpointEvery))
	defer look.Stop()
	pause := backoff{base: e.cfg.RetryEvery}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-e.wake:
		case <-look.C:
		}
		if err := e.step(ctx); err != nil && ctx.Err() == nil {
			e.log.Warn("the engine tries again", "error", err, "attempt", pause.attempts+1)
			pause.wait(ctx)
			e.wakeUp()
			continue
		}
		pause.attempts = 0
	}
}

// step does what is due.
func (e *Engine) step(ctx context.Context) error {
	if err := e.journal.Failed(); err != nil {
		e.startRecovery(err)
	}
	if e.gate.state.Load() == gateRecovering {
		if err := e.recover(ctx); err != nil {
			return err
		}
		e.log.Info("the journal is usable again and memory was rebuilt", "epoch", e.epoch.Load())
	}
	if e.checkpointDue() {
		return e.Checkpoint(ctx)
	}
	if !e.sweepDue() {
		return nil
	}
	_, err := e.sweepStep(ctx)
	return err
}

func (e *Engine) checkpointDue() bool {
	behind := e.behind.Load()
	if behind >= int64(e.cfg.CheckpointFrames) || e.overloaded() {
		return true
	}
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	return behind > 0 && time.Since(e.checkpoint.at) >= e.cfg.CheckpointEvery
}

// backoff is a pause that doubles, up to 30 times its base.
type backoff struct {
	base     time.Duration
	attempts int
}

func (b *backoff) wait(ctx context.Context) {
	d := min(b.base<<min(b.attempts, 5), 30*b.base)
	b.attempts++
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// Close refuses new work, waits for what is inside and makes a last checkpoint, unless the journal has failed: then the
// next start recovers. End Run first; journal and states stay open.
func (e *Engine) Close() (err error) {
	before := e.gate.state.Swap(gateClosed)
	if before == gateClosed {
		return ErrClosed
	}
	ctx := context.Background()
	err = e.gate.wait(ctx)
	if err != nil {
		return err
	}
	e.checkpoints.Lock()
	defer e.checkpoints.Unlock()
	defer func() {
		if s := e.side.Swap(nil); s != nil {
			err = errors.Join(err, s.states.Close())
		}
	}()
	if before == gateRecovering {
		return nil
	}
	if err := e.makeCheckpoint(ctx); err != nil {
		return fmt.Errorf("cannot close the engine cleanly; the next start reads the journal again: %w", err)
	}
	return nil
}
