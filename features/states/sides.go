package states

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"pitboss/features"
	"pitboss/journal"
)

// Sides are States, and journals, in directories of their own, beside the engine's: for backfills.
type Sides struct {
	// Config is that of each of them; its Dir is the directory that all are in.
	Config BadgerConfig
	// Log is the configuration of journals; its Dir does not count.
	Log journal.Config
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

// Journal implements features.Sides.
func (s Sides) Journal(name string) (journal.Journal, error) {
	cfg := s.Log
	cfg.Dir = filepath.Join(s.Config.Dir, name)
	if err := os.MkdirAll(s.Config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make a directory for backfills: %w", err)
	}
	j, _, err := journal.OpenFile(cfg)
	if err != nil {
		return nil, fmt.Errorf("cannot open a backfill's journal: %w", err)
	}
	return j, nil
}

// Keep implements features.Sides.
func (s Sides) Keep(names ...string) error {
	entries, err := os.ReadDir(s.Config.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot look for backfilled state: %w", err)
	}
	for _, e := range entries {
		if slices.Contains(names, e.Name()) {
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
	mu   sync.Mutex // guards all below
	open map[string]*Memory
	logs map[string]*journal.Memory
}

var _ features.Sides = (*MemorySides)(nil)

// NewMemorySides gives none.
func NewMemorySides() *MemorySides {
	return &MemorySides{open: map[string]*Memory{}, logs: map[string]*journal.Memory{}}
}

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

// Journal implements features.Sides.
func (s *MemorySides) Journal(name string) (journal.Journal, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	j, ok := s.logs[name]
	if !ok {
		j = journal.NewMemory(journal.MemoryConfig{})
		s.logs[name] = j
	}
	return openLog{j}, nil
}

// openLog is a journal that stays when it is closed.
type openLog struct{ *journal.Memory }

func (openLog) Close() error { return nil }

// Keep implements features.Sides.
func (s *MemorySides) Keep(names ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := func(name string) bool { return !slices.Contains(names, name) }
	maps.DeleteFunc(s.open, func(name string, _ *Memory) bool { return gone(name) })
	maps.DeleteFunc(s.logs, func(name string, _ *journal.Memory) bool { return gone(name) })
	return nil
}
