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
}

// The states of a gate.
const (
	gateOpen int32 = iota
	gateRecovering
	gateClosed
)

func newGate() *gate { return &gate{drained: make(chan struct{}, 1)} }

// enter lets an operation in, or says why not.
func (g *gate) enter() error {
	// First count, then look: whoever shuts the gate first sets the state, then looks at the count. One of the two sees
	// the other.
	g.inside.Add(1)
	switch g.state.Load() {
	case gateOpen:
		return nil
	case gateClosed:
		g.leave()
		return ErrClosed
	default:
		g.leave()
		return ErrUnavailable
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
