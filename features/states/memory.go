// Package states is where entities rest: the implementations of features.States, in Badger and in memory.
//
// It holds bytes and positions, the dedupe index and a few named values; what they mean belongs to package features. It
// is not a cache (the engine has its own) and not a place for anything but the engine's state.
//
// Start reading at features.States, then badger.go; features/statestest is the contract both keep.
package states

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"pitboss/features"
	"pitboss/journal"
)

// Memory is States in RAM, for tests and for passes over history that need no state afterwards. Nothing survives the
// process.
type Memory struct {
	mu       sync.RWMutex // guards all below
	entities map[features.EntityKey][]byte
	seen     map[features.EventKey]features.Seen
	meta     map[string][]byte
	newest   uint32 // hour of the newest entry noted
	swept    uint32 // value of newest when old entries were last dropped
	closed   bool
}

var _ features.States = (*Memory)(nil)

// NewMemory gives empty states.
func NewMemory() *Memory {
	return &Memory{
		entities: map[features.EntityKey][]byte{}, seen: map[features.EventKey]features.Seen{}, meta: map[string][]byte{},
	}
}

// Get implements features.States.
func (m *Memory) Get(key features.EntityKey, buf []byte) ([]byte, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return buf[:0], false, features.ErrClosed
	}
	blob, ok := m.entities[key]
	return append(buf[:0], blob...), ok, nil
}

// Put implements features.States.
func (m *Memory) Put(ctx context.Context, batch []features.StatePut) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return features.ErrClosed
	}
	for _, p := range batch {
		if err := checkPos(p, m.entities[p.Key]); err != nil {
			return err
		}
		m.entities[p.Key] = bytes.Clone(p.Blob)
	}
	return nil
}

// checkPos compares the stored position with the expected one.
func checkPos(p features.StatePut, stored []byte) error {
	var have journal.Pos
	if stored != nil {
		var err error
		if have, err = features.StatePos(stored); err != nil {
			return fmt.Errorf("entity %x: %w", p.Key.ID, err)
		}
	}
	if have != p.Old {
		return fmt.Errorf("cannot put entity %x: %w: it is %v, not %v", p.Key.ID, features.ErrStatePos, have, p.Old)
	}
	return nil
}

// Erase implements features.States.
func (m *Memory) Erase(key features.EntityKey) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return features.ErrClosed
	}
	delete(m.entities, key)
	return nil
}

// Each implements features.States.
func (m *Memory) Each(ctx context.Context, after features.EntityKey, f func(features.EntityKey, []byte) error) error {
	m.mu.RLock()
	closed, keys := m.closed, slices.Collect(maps.Keys(m.entities))
	m.mu.RUnlock()
	if closed {
		return features.ErrClosed
	}
	keys = slices.DeleteFunc(keys, func(key features.EntityKey) bool { return compareKeys(key, after) <= 0 })
	slices.SortFunc(keys, compareKeys)
	var buf []byte
	for _, key := range keys {
		if err := ctx.Err(); err != nil {
			return err
		}
		blob, ok, err := m.Get(key, buf)
		if err != nil {
			return err
		}
		if !ok {
			continue // erased since
		}
		if err := f(key, blob); err != nil {
			return err
		}
		buf = blob
	}
	return nil
}

func compareKeys(a, b features.EntityKey) int {
	return cmp.Or(bytes.Compare(a.Tenant[:], b.Tenant[:]), cmp.Compare(a.Kind, b.Kind), bytes.Compare(a.ID[:], b.ID[:]))
}

// Seen implements features.States.
func (m *Memory) Seen(key features.EventKey) (features.Seen, bool, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return features.Seen{}, false, features.ErrClosed
	}
	seen, ok := m.seen[key]
	return seen, ok, nil
}

// Note implements features.States. Entries that nobody may ask for any more are dropped now and then.
func (m *Memory) Note(ctx context.Context, batch []features.Noted) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return features.ErrClosed
	}
	for _, n := range batch {
		m.seen[n.Key] = n.Seen
		if n.Seen.Hour != features.ForEver {
			m.newest = max(m.newest, n.Seen.Hour)
		}
	}
	if m.newest < m.swept+24 {
		return nil
	}
	m.swept = m.newest
	maps.DeleteFunc(m.seen, func(_ features.EventKey, s features.Seen) bool {
		return s.Hour != features.ForEver && s.Hour+features.SeenForHours < m.newest
	})
	return nil
}

// Meta implements features.States.
func (m *Memory) Meta(name string) ([]byte, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, features.ErrClosed
	}
	return bytes.Clone(m.meta[name]), nil
}

// PutMeta implements features.States.
func (m *Memory) PutMeta(name string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return features.ErrClosed
	}
	m.meta[name] = bytes.Clone(value)
	return nil
}

// Sync implements features.States: there is nothing to be safe from.
func (m *Memory) Sync() error {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return features.ErrClosed
	}
	return nil
}

// Close implements features.States.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return features.ErrClosed
	}
	m.closed = true
	return nil
}
