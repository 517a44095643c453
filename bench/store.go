package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
)

// Store is an engine with what it stands on, in a directory: a journal in files and Badger.
type Store struct {
	Engine  *features.Engine
	Journal journal.Journal
	States  features.States

	stop context.CancelFunc
	done chan struct{}
}

// MasterKey seals the journals of the fixture. Nothing in them is anybody's.
func MasterKey() []byte { return bytes.Repeat([]byte{64}, 32) }

// stateDir is where Badger is, in a data directory.
func stateDir(dir string) string { return filepath.Join(dir, "state") }

// OpenStore opens a store. change may change the engine's configuration, nil leaves it, and changes the journal's.
func OpenStore(ctx context.Context, dir string, kinds *features.Kinds, set *features.Set, change func(*features.EngineConfig),
	changes ...func(*journal.Config)) (_ *Store, err error) {
	s := &Store{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.closeBelow())
		}
	}()
	jc := journal.DefaultConfig()
	jc.Dir, jc.MasterKey = filepath.Join(dir, "journal"), MasterKey()
	for _, c := range changes {
		c(&jc)
	}
	j, _, err := journal.OpenFile(jc)
	if err != nil {
		return nil, fmt.Errorf("cannot open the fixture's journal: %w", err)
	}
	s.Journal = j
	badger, err := states.OpenBadger(states.BadgerConfig{Dir: stateDir(dir)})
	if err != nil {
		return nil, fmt.Errorf("cannot open the fixture's state: %w", err)
	}
	s.States = badger
	cfg := features.DefaultEngineConfig()
	cfg.Kinds = kinds
	if change != nil {
		change(&cfg)
	}
	s.Engine, err = features.OpenEngine(ctx, cfg, j, badger, set)
	if err != nil {
		return nil, fmt.Errorf("cannot open the fixture's engine: %w", err)
	}
	return s, nil
}

// Run makes checkpoints in the background, as a server does, until Close or Kill.
func (s *Store) Run() {
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.done = stop, make(chan struct{})
	go func() {
		defer close(s.done)
		_ = s.Engine.Run(ctx) // it ends with ctx, and says nothing
	}()
}

func (s *Store) halt() {
	if s.stop != nil {
		s.stop()
		<-s.done
	}
}

// Close ends everything, with a last checkpoint.
func (s *Store) Close() error {
	s.halt()
	return errors.Join(s.Engine.Close(), s.closeBelow())
}

// Kill ends everything as the death of the process would: what no checkpoint has must be recovered.
func (s *Store) Kill() error {
	s.halt()
	return s.closeBelow()
}

func (s *Store) closeBelow() error {
	var errs []error
	if s.States != nil {
		errs = append(errs, s.States.Close())
	}
	if s.Journal != nil {
		errs = append(errs, s.Journal.Close())
	}
	return errors.Join(errs...)
}

// NoCheckpoints is a change of OpenStore: everything that is applied waits for a recovery.
func NoCheckpoints(cfg *features.EngineConfig) {
	cfg.CheckpointFrames, cfg.CheckpointEvery = 1<<30, 1000*time.Hour
}
