package enginetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"pitboss/features"
	"pitboss/journal"
)

// errDisk is what the faults of these tests are caused by.
var errDisk = errors.New("no space left (a test's fault)")

// faultyJournal loses frames on purpose: they get a position and are never written, as when the disk fills up.
type faultyJournal struct {
	journal.Journal

	mu     sync.Mutex // guards all below, and the order of appends
	full   int        // this many appends find the buffer full
	losing int        // this many appends are still taken and lost
	lost   uint64     // frames that have a position and are not written
	failed error
	stays  error // what Recover says
	epochs uint64
}

// lose makes the journal take n more frames and lose them, then fail.
func (j *faultyJournal) lose(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.losing = n
	}
}

// fill makes the next n appends find the buffer full.
func (j *faultyJournal) fill(n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.full = n
}

// stay makes Recover fail for a cause, or succeed for nil.
func (j *faultyJournal) stay(cause error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.stays = cause
}

func (j *faultyJournal) fail() error {
	if j.failed == nil {
		j.losing, j.failed = 0, fmt.Errorf("%w: %w", journal.ErrFailed, errDisk)
	}
	return j.failed
}

func (j *faultyJournal) Append(s journal.Sealed) (journal.Pos, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil {
		return journal.Pos{}, j.failed
	}
	if j.full > 0 {
		j.full--
		return journal.Pos{}, journal.ErrFull
	}
	if j.losing == 0 && j.lost == 0 {
		return j.Journal.Append(s)
	}
	if j.losing == 0 {
		return journal.Pos{}, j.fail()
	}
	j.losing--
	j.lost++
	pos := j.Journal.Head()
	return journal.Pos{Partition: pos.Partition, Offset: pos.Offset + j.lost}, nil
}

// check says whether something that is lost is waited for: then the write has failed.
func (j *faultyJournal) check(offset uint64) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed != nil && offset > j.Journal.Head().Offset || j.lost > 0 && offset > j.Journal.Head().Offset {
		return j.fail()
	}
	return nil
}

func (j *faultyJournal) Written(ctx context.Context, p journal.Pos) error {
	if err := j.check(p.Offset); err != nil {
		return err
	}
	return j.Journal.Written(ctx, p)
}

func (j *faultyJournal) Durable(ctx context.Context, p journal.Pos) error {
	if err := j.check(p.Offset); err != nil {
		return err
	}
	return j.Journal.Durable(ctx, p)
}

func (j *faultyJournal) Sync(ctx context.Context) error {
	if err := j.check(1<<63 - 1); err != nil {
		return err
	}
	return j.Journal.Sync(ctx)
}

func (j *faultyJournal) Head() journal.Pos {
	j.mu.Lock()
	defer j.mu.Unlock()
	pos := j.Journal.Head()
	return journal.Pos{Partition: pos.Partition, Offset: pos.Offset + j.lost}
}

func (j *faultyJournal) Failed() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.failed
}

func (j *faultyJournal) Epoch() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Journal.Epoch() + j.epochs
}

func (j *faultyJournal) Recover(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stays != nil {
		return fmt.Errorf("%w: %w", journal.ErrFailed, j.stays)
	}
	if j.failed != nil {
		j.failed, j.lost, j.losing = nil, 0, 0
		j.epochs++
	}
	return j.Journal.Recover(ctx)
}

// withFaults gives the world a journal that can lose frames.
func withFaults(faults *faultyJournal) option {
	return func(w *world) {
		inner := w.subject.Journal
		w.subject.Journal = func(t testing.TB, dir string) journal.Journal {
			faults.Journal = inner(t, dir)
			return faults
		}
	}
}

// faultyStates fails the write operation whose turn it is; of a batch, half is done before.
type faultyStates struct {
	features.States

	mu   sync.Mutex // guards left
	left int        // operations that succeed before all fail; negative: none fails
}

func (s *faultyStates) arm(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = n
}

func (s *faultyStates) turn() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left < 0:
		return nil
	case s.left == 0:
		return errDisk
	}
	s.left--
	return nil
}

func (s *faultyStates) Put(ctx context.Context, batch []features.StatePut) error {
	if err := s.turn(); err != nil {
		return errors.Join(err, s.States.Put(ctx, batch[:len(batch)/2]))
	}
	return s.States.Put(ctx, batch)
}

func (s *faultyStates) Note(ctx context.Context, batch []features.Noted) error {
	if err := s.turn(); err != nil {
		return errors.Join(err, s.States.Note(ctx, batch[:len(batch)/2]))
	}
	return s.States.Note(ctx, batch)
}

func (s *faultyStates) PutMeta(name string, value []byte) error {
	if err := s.turn(); err != nil {
		return err
	}
	return s.States.PutMeta(name, value)
}

func (s *faultyStates) Erase(key features.EntityKey) error {
	if err := s.turn(); err != nil {
		return err
	}
	return s.States.Erase(key)
}

func (s *faultyStates) Sync() error {
	if err := s.turn(); err != nil {
		return err
	}
	return s.States.Sync()
}

func withFaultyStates(faults *faultyStates) option {
	return func(w *world) {
		inner := w.subject.States
		w.subject.States = func(t testing.TB, dir string) features.States {
			faults.States = inner(t, dir)
			return faults
		}
	}
}
