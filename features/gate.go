package features

import (
	"context"
	"sync/atomic"
)

// gate lets operations in while the engine is open, and lets whoever shuts it wait until those inside have left. What
// waits for other operations must not do so inside: the one it waits for may wait for the gate.
type gate struct {
	inside  atomic.Int64
	state   atomic.Int32
	drained chan struct{}
	// opened is fired when a switch is over.
	opened broadcast
}

// The states of a gate.
const (
	gateOpen int32 = iota
	gateRecovering
	gateClosed
	// gateSwitching lets who comes wait: it is over soon.
	gateSwitching
)

func newGate() *gate { return &gate{drained: make(chan struct{}, 1)} }

// enter lets an operation in, or says why not.
func (g *gate) enter() error {
	for {
		// First count, then look: whoever shuts the gate first sets the state, then looks at the count. One of the two sees
		// the other.
		g.inside.Add(1)
		state := g.state.Load()
		if state == gateOpen {
			return nil
		}
		opened := g.opened.wait()
		g.leave()
		switch state {
		case gateClosed:
			return ErrClosed
		case gateSwitching:
			if g.state.Load() == gateSwitching { // else it was opened before opened was asked for
				<-opened
			}
		default:
			return ErrUnavailable
		}
	}
}

func (g *gate) leave() {
	if g.inside.Add(-1) == 0 && g.state.Load() != gateOpen {
		select {
		case g.drained <- struct{}{}:
		default: // somebody said so before, and it was not heard yet
		}
	}
}

// wait returns when nobody is inside a gate that is not open.
func (g *gate) wait(ctx context.Context) error {
	for g.inside.Load() != 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.drained:
		}
	}
	return nil
}
