package states

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"pitboss/features"
)

// Sides are States in directories of their own, beside the engine's: for backfills.
type Sides struct {
	// Config is that of each of them; its Dir is the directory that theirs are in.
	Config BadgerConfig
}

var _ features.Sides = Sides{}

// Open implements features.Sides.
func (s Sides) Open(name string) (features.States, error) {
	cfg := s.Config
	cfg.Dir = filepath.Join(s.Config.Dir, name)
	b, err := OpenBadger(cfg)
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Keep implements features.Sides.
func (s Sides) Keep(name string) error {
	entries, err := os.ReadDir(s.Config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot look for backfilled state: %w", err)
	}
	for _, e := range entries {
		if e.Name() == name {
			continue
		}
		if err := os.RemoveAll(filepath.Join(s.Config.Dir, e.Name())); err != nil {
			return fmt.Errorf("cannot remove backfilled state: %w", err)
		}
	}
	return nil
}

// MemorySides are Sides in RAM. They last as long as the value: closing one leaves what is in it.
type MemorySides struct {
	mu   sync.Mutex // guards open
	open map[string]*Memory
}

var _ features.Sides = (*MemorySides)(nil)

// NewMemorySides gives none.
func NewMemorySides() *MemorySides { return &MemorySides{open: map[string]*Memory{}} }

// Open implements features.Sides.
func (s *MemorySides) Open(name string) (features.States, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.open[name]
	if !ok {
		m = NewMemory()
		s.open[name] = m
	}
	m.mu.Lock()
	m.closed = false
	m.mu.Unlock()
	return m, nil
}

// Keep implements features.Sides.
func (s *MemorySides) Keep(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for have := range s.open {
		if have != name {
			delete(s.open, have)
		}
	}
	return nil
}
