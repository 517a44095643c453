// Package journaltest is the contract of journal.Journal as tests: every implementation runs it, and a caller's test
// finds here a journal whose disk fails when told to.
//
// It holds no test of what only one implementation does (files, crashes, formats): those are in package journal.
// Start with Run.
package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitboss/journal"
)

// Subject is one implementation, opened empty.
type Subject struct {
	Journal journal.Journal
	// FailNext makes the next write fail for a reason. Afterwards writes succeed again, so that Recover can.
	FailNext func(cause error)
}

// suite is one test's journal and the test itself.
type suite struct {
	Subject

	t *testing.T
}

// Run tests the contract. Each test calls open for a journal of its own, with partition 0 and payloads of up to 1 MiB,
// and closes it.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(suite)
	}{
		{"Empty", suite.testEmpty},
		{"RoundTrip", suite.testRoundTrip},
		{"Limits", suite.testLimits},
		{"Positions", suite.testPositions},
		{"Cursor", suite.testCursor},
		{"Follow", suite.testFollow},
		{"FollowDurable", suite.testFollowDurable},
		{"Erase", suite.testErase},
		{"KeyErrors", suite.testKeyErrors},
		{"Foreign", suite.testForeign},
		{"Wait", suite.testWait},
		{"Fail", suite.testFail},
		{"Concurrent", suite.testConcurrent},
		{"Closed", suite.testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := suite{open(t), t}
			t.Cleanup(func() {
				if err := s.Journal.Close(); err != nil && !errors.Is(err, journal.ErrClosed) {
					t.Errorf("Close() = %v, want nil", err)
				}
			})
			c.test(s)
		})
	}
}

// Seed returns a random generator and prints its seed; PITBOSS_SEED gives it back.
func Seed(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("PITBOSS_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("cannot read PITBOSS_SEED %q: %v", s, err)
		}
		seed = n
	}
	t.Logf("PITBOSS_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// Append seals and appends one frame, and fails the test if that fails.
func Append(t testing.TB, j journal.Journal, f journal.Frame) journal.Pos {
	t.Helper()
	s, err := j.Seal(f)
	if err != nil {
		t.Fatalf("Seal(%d bytes, key %d) = %v, want nil", len(f.Payload), f.KeyID, err)
	}
	p, err := j.Append(s)
	if err != nil {
		t.Fatalf("Append() = %v, want nil", err)
	}
	return p
}

// Write is Append, then Written.
func Write(t testing.TB, j journal.Journal, f journal.Frame) journal.Pos {
	t.Helper()
	p := Append(t, j, f)
	if err := j.Written(t.Context(), p); err != nil {
		t.Fatalf("Written(%v) = %v, want nil", p, err)
	}
	return p
}

func newKey(t testing.TB, j journal.Journal) journal.KeyID {
	t.Helper()
	id, err := j.Keys().New()
	if err != nil {
		t.Fatalf("Keys().New() = %v, want nil", err)
	}
	return id
}

func wantErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}

func wantFrame(t testing.TB, j journal.Journal, want journal.Frame) {
	t.Helper()
	got, err := j.Get(want.Pos)
	if err != nil {
		t.Errorf("Get(%v) = %v, want nil", want.Pos, err)
		return
	}
	if d := diff(want, got); d != "" {
		t.Errorf("Get(%v): -want +got\n%s", want.Pos, d)
	}
}

// diff compares payloads at once instead of byte by byte, and treats an empty one and none alike.
func diff(want, got journal.Frame) string { return cmp.Diff(want, got, cmp.Comparer(bytes.Equal)) }

func (s suite) testEmpty() {
	t := s.t
	j := s.Journal
	if head, tail := j.Head(), j.Tail(); head != (journal.Pos{}) || tail != (journal.Pos{}) {
		t.Errorf("Head(), Tail() = %v, %v, want nothing", head, tail)
	}
	if _, err := j.Get(journal.Pos{}); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("Get(nothing) = %v, want ErrNotFound", err)
	}
	wantErr(t, "Get(0/1)", get(j, 1), journal.ErrNotFound)
	wantErr(t, "Written(0/1)", j.Written(t.Context(), journal.Pos{Offset: 1}), journal.ErrNotFound)
	if err := j.Written(t.Context(), journal.Pos{}); err != nil {
		t.Errorf("Written(nothing) = %v, want nil", err)
	}
	if err := j.Sync(t.Context()); err != nil {
		t.Errorf("Sync() = %v, want nil", err)
	}
	for _, from := range []journal.Pos{{}, {Offset: 1}} {
		c, err := j.Read(from)
		if err != nil {
			t.Fatalf("Read(%v) = %v, want nil", from, err)
		}
		_, err = c.Next(t.Context())
		wantErr(t, "Next()", err, io.EOF)
	}
	_, err := j.Read(journal.Pos{Offset: 2})
	wantErr(t, "Read(0/2)", err, journal.ErrNotFound)
	if err := j.Recover(t.Context()); err != nil || j.Epoch() != 0 {
		t.Errorf("Recover() of a good journal = %v, Epoch() = %d, want nil, 0", err, j.Epoch())
	}
}

func get(j journal.Journal, offset uint64) error {
	_, err := j.Get(journal.Pos{Offset: offset})
	return err
}

func (s suite) testRoundTrip() {
	t := s.t
	j := s.Journal
	key := newKey(t, j)
	var frames []journal.Frame
	f := func(kind journal.Kind, id journal.KeyID, time int64, payload []byte) {
		t.Helper()
		frame := journal.Frame{Pos: journal.Pos{Offset: 99}, Kind: kind, KeyID: id, Time: time, Payload: payload}
		frame.Pos = Write(t, j, frame)
		frames = append(frames, frame)
	}
	f(0, 0, 0, nil)
	f(1, 0, 1, []byte("plain"))
	f(255, key, -1, []byte("sealed"))
	f(2, key, 1<<62, nil)
	f(3, newKey(t, j), 5, make([]byte, 1<<20))
	f(4, key, 6, make([]byte, 63))
	for _, want := range frames {
		wantFrame(t, j, want)
	}
	c, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	defer closeCursor(t, c)
	for _, want := range frames {
		var got journal.Frame
		if got, err = c.Next(t.Context()); err != nil {
			t.Fatalf("Next() = %v, want frame %v", err, want.Pos)
		}
		if d := diff(want, got); d != "" {
			t.Errorf("Next(): -want +got\n%s", d)
		}
	}
	// What was read belongs to the reader.
	got, err := j.Get(frames[1].Pos)
	if err != nil {
		t.Fatalf("Get(%v) = %v, want nil", frames[1].Pos, err)
	}
	clear(got.Payload)
	wantFrame(t, j, frames[1])
}

func closeCursor(t *testing.T, c journal.Cursor) {
	t.Helper()
	for range 2 {
		if err := c.Close(); err != nil {
			t.Errorf("Cursor.Close() = %v, want nil", err)
		}
	}
}

func (s suite) testLimits() {
	t := s.t
	_, err := s.Journal.Seal(journal.Frame{Payload: make([]byte, 1<<20+1)})
	wantErr(t, "Seal(1 MiB + 1)", err, journal.ErrTooLarge)
}

func (s suite) testPositions() {
	t := s.t
	j := s.Journal
	for i := uint64(1); i <= 100; i++ {
		p := Append(t, j, journal.Frame{Payload: fmt.Append(nil, i)})
		if want := (journal.Pos{Offset: i}); p != want || j.Head() != want {
			t.Fatalf("Append() number %d = %v, Head() = %v, want %v", i, p, j.Head(), want)
		}
	}
	if err := j.Sync(t.Context()); err != nil {
		t.Fatalf("Sync() = %v, want nil", err)
	}
	if got, want := j.Tail(), (journal.Pos{Offset: 1}); got != want {
		t.Errorf("Tail() = %v, want %v", got, want)
	}
	if st := j.Stats(); st.Frames != 100 || st.Written != j.Head() || st.Durable != j.Head() || st.Failed {
		t.Errorf("Stats() = %+v, want 100 frames, all written and durable", st)
	}
	wantErr(t, "Get(0/101)", get(j, 101), journal.ErrNotFound)
	_, err := j.Read(journal.Pos{Offset: 102})
	wantErr(t, "Read(0/102)", err, journal.ErrNotFound)
}

func (s suite) testCursor() {
	t := s.t
	j := s.Journal
	for i := range 300 {
		Write(t, j, journal.Frame{Payload: make([]byte, i*7), Time: int64(i)})
	}
	f := func(from uint64, want int) {
		t.Helper()
		c, err := j.Read(journal.Pos{Offset: from})
		if err != nil {
			t.Fatalf("Read(0/%d) = %v, want nil", from, err)
		}
		defer closeCursor(t, c)
		for i := range want {
			got, err := c.Next(t.Context())
			if offset := max(from, 1) + uint64(i); err != nil || got.Pos.Offset != offset || got.Time != int64(offset-1) {
				t.Fatalf("Read(0/%d), Next() number %d = %v, %v, want frame %d", from, i, got.Pos, err, offset)
			}
		}
		for range 2 {
			if _, err := c.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("Read(0/%d), Next() at the end = %v, want io.EOF", from, err)
			}
		}
	}
	f(0, 300)
	f(1, 300)
	f(150, 151)
	f(300, 1)
	f(301, 0)

	c, err := j.Read(journal.Pos{Offset: 301})
	if err != nil {
		t.Fatalf("Read(0/301) = %v, want nil", err)
	}
	defer closeCursor(t, c)
	_, err = c.Next(t.Context())
	if !errors.Is(err, io.EOF) {
		t.Errorf("Next() at the end = %v, want io.EOF", err)
	}
	p := Write(t, j, journal.Frame{})
	got, err := c.Next(t.Context())
	if err != nil || got.Pos != p {
		t.Errorf("Next() after io.EOF and another frame = %v, %v, want %v", got.Pos, err, p)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = c.Next(ctx)
	wantErr(t, "Next(canceled)", err, context.Canceled)
}

func (s suite) testFollow() {
	t := s.t
	j := s.Journal
	const n = 2000
	var wg sync.WaitGroup
	for range 3 {
		c, err := j.Read(journal.Pos{}, journal.Follow())
		if err != nil {
			t.Fatalf("Read() = %v, want nil", err)
		}
		wg.Go(func() {
			defer closeCursor(t, c)
			for i := uint64(1); i <= n; i++ {
				got, err := c.Next(t.Context())
				if err != nil || got.Pos.Offset != i {
					t.Errorf("Next() = %v, %v, want frame %d", got.Pos, err, i)
					return
				}
			}
		})
	}
	for range n {
		Append(t, j, journal.Frame{Payload: []byte("x")})
	}
	wg.Wait()

	c, err := j.Read(j.Head().Next(), journal.Follow())
	if err != nil {
		t.Fatalf("Read(behind the head) = %v, want nil", err)
	}
	defer closeCursor(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err = c.Next(ctx)
	wantErr(t, "Next() with nothing to come", err, context.DeadlineExceeded)
}

func (s suite) testFollowDurable() {
	t := s.t
	j := s.Journal
	c, err := j.Read(journal.Pos{}, journal.Follow(), journal.OnlyDurable())
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	defer closeCursor(t, c)
	for range 20 {
		p := Append(t, j, journal.Frame{})
		got, err := c.Next(t.Context())
		if err != nil || got.Pos != p {
			t.Fatalf("Next() = %v, %v, want %v", got.Pos, err, p)
		}
		if st := j.Stats(); st.Durable.Less(p) {
			t.Errorf("Next() returned %v, durable is only %v", p, st.Durable)
		}
	}
}

func (s suite) testErase() {
	t := s.t
	j, keys := s.Journal, s.Journal.Keys()
	gone, kept := newKey(t, j), newKey(t, j)
	erased := journal.Frame{Kind: 7, KeyID: gone, Time: 3, Payload: []byte("personal")}
	stays := journal.Frame{Kind: 8, KeyID: kept, Time: 4, Payload: []byte("stays")}
	erased.Pos, stays.Pos = Write(t, j, erased), Write(t, j, stays)
	wantFrame(t, j, erased)
	pending, err := j.Seal(erased)
	if err != nil {
		t.Fatalf("Seal() = %v, want nil", err)
	}

	for range 2 {
		err = keys.Drop(gone)
		if err != nil {
			t.Fatalf("Drop(%d) = %v, want nil", gone, err)
		}
	}
	if keys.Has(gone) || !keys.Has(kept) {
		t.Errorf("Has(dropped), Has(kept) = %v, %v, want false, true", keys.Has(gone), keys.Has(kept))
	}
	erased.Payload, erased.Erased = nil, true
	wantFrame(t, j, erased)
	wantFrame(t, j, stays)
	_, err = j.Seal(erased)
	wantErr(t, "Seal(dropped key)", err, journal.ErrErased)

	// A record sealed before the drop may still arrive: it is unreadable too.
	p, err := j.Append(pending)
	if err != nil {
		t.Fatalf("Append(sealed before Drop) = %v, want nil", err)
	}
	if err := j.Written(t.Context(), p); err != nil {
		t.Fatalf("Written(%v) = %v, want nil", p, err)
	}
	erased.Pos = p
	wantFrame(t, j, erased)
	if st := j.Stats(); st.Keys != 1 || st.KeysDropped != 1 {
		t.Errorf("Stats() = %d keys, %d dropped, want 1, 1", st.Keys, st.KeysDropped)
	}
}

func (s suite) testKeyErrors() {
	t := s.t
	j, keys := s.Journal, s.Journal.Keys()
	_, err := j.Seal(journal.Frame{KeyID: 1})
	wantErr(t, "Seal(key that was never made)", err, journal.ErrNoKey)
	wantErr(t, "Drop(1)", keys.Drop(1), journal.ErrNoKey)
	wantErr(t, "Drop(0)", keys.Drop(0), journal.ErrNoKey)
	if keys.Has(0) || keys.Has(1) || keys.Has(1<<63) {
		t.Errorf("Has() of keys that were never made = true, want false")
	}
	if err := keys.Sync(); err != nil {
		t.Errorf("Keys().Sync() = %v, want nil", err)
	}
	seen := map[journal.KeyID]bool{0: true}
	for range 100 {
		id := newKey(t, j)
		if seen[id] {
			t.Errorf("Keys().New() = %d a second time", id)
		}
		seen[id] = true
	}
}

func (s suite) testForeign() {
	t := s.t
	j := s.Journal
	other := journal.NewMemory(journal.MemoryConfig{})
	rec, err := other.Seal(journal.Frame{})
	if err != nil {
		t.Fatalf("Seal() = %v, want nil", err)
	}
	_, err = j.Append(rec)
	wantErr(t, "Append(record of another journal)", err, journal.ErrForeign)
	_, err = j.Append(journal.Sealed{})
	wantErr(t, "Append(nothing)", err, journal.ErrForeign)

	Write(t, j, journal.Frame{})
	p := journal.Pos{Partition: 1, Offset: 1}
	_, err = j.Get(p)
	wantErr(t, "Get(1/1)", err, journal.ErrForeign)
	_, err = j.Read(p)
	wantErr(t, "Read(1/1)", err, journal.ErrForeign)
	wantErr(t, "Written(1/1)", j.Written(t.Context(), p), journal.ErrForeign)
	wantErr(t, "Durable(1/1)", j.Durable(t.Context(), p), journal.ErrForeign)
}

func (s suite) testWait() {
	t := s.t
	j := s.Journal
	p := Append(t, j, journal.Frame{})
	if err := j.Durable(t.Context(), p); err != nil {
		t.Errorf("Durable(%v) = %v, want nil", p, err)
	}
	if err := j.Written(t.Context(), p); err != nil {
		t.Errorf("Written(%v) = %v, want nil", p, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "Written(canceled)", j.Written(ctx, p), context.Canceled)
	wantErr(t, "Durable(canceled)", j.Durable(ctx, p), context.Canceled)
	wantErr(t, "Recover(canceled)", j.Recover(ctx), context.Canceled)
}

func (s suite) testFail() {
	t := s.t
	j, cause := s.Journal, errors.New("the disk is on fire")
	kept := Write(t, j, journal.Frame{Kind: 1})
	s.FailNext(cause)
	lost := Append(t, j, journal.Frame{Kind: 2})
	for _, wait := range []func(context.Context, journal.Pos) error{j.Written, j.Durable} {
		err := wait(t.Context(), lost)
		wantErr(t, "waiting for the lost frame", err, journal.ErrFailed)
		wantErr(t, "waiting for the lost frame", err, cause)
	}
	wantErr(t, "Failed()", j.Failed(), cause)
	wantErr(t, "Sync()", j.Sync(t.Context()), journal.ErrFailed)
	rec, err := j.Seal(journal.Frame{Kind: 3})
	if err != nil {
		t.Fatalf("Seal() of a failed journal = %v, want nil", err)
	}
	_, err = j.Append(rec)
	wantErr(t, "Append() of a failed journal", err, journal.ErrFailed)
	err = j.Written(t.Context(), kept)
	if err != nil {
		t.Errorf("Written(before the failure) = %v, want nil", err)
	}
	wantErr(t, "Get(lost)", get(j, lost.Offset), journal.ErrNotFound)
	if st := j.Stats(); !st.Failed || st.Failures != 1 {
		t.Errorf("Stats() = failed %v, %d failures, want true, 1", st.Failed, st.Failures)
	}

	err = j.Recover(t.Context())
	if err != nil {
		t.Fatalf("Recover() = %v, want nil", err)
	}
	if j.Failed() != nil || j.Epoch() != 1 || j.Head() != kept {
		t.Errorf("after Recover: Failed() = %v, Epoch() = %d, Head() = %v, want nil, 1, %v", j.Failed(), j.Epoch(), j.Head(), kept)
	}
	p, err := j.Append(rec)
	if err != nil || p != lost {
		t.Errorf("Append() after Recover = %v, %v, want the lost position %v", p, err, lost)
	}
	if err := j.Durable(t.Context(), p); err != nil {
		t.Errorf("Durable(%v) after Recover = %v, want nil", p, err)
	}
	wantFrame(t, j, journal.Frame{Pos: kept, Kind: 1})
	wantFrame(t, j, journal.Frame{Pos: p, Kind: 3})
}

func (s suite) testConcurrent() {
	t := s.t
	j := s.Journal
	const writers, each = 16, 200
	var wg sync.WaitGroup
	var mu sync.Mutex
	want := map[journal.Pos]journal.Frame{}
	for w := range writers {
		key := newKey(t, j)
		wg.Go(func() {
			for i := range each {
				f := journal.Frame{Kind: journal.Kind(w), KeyID: key * journal.KeyID(i%2), Time: int64(i), Payload: fmt.Appendf(nil, "%d of %d", i, w)}
				f.Pos = Write(t, j, f)
				got, err := j.Get(f.Pos)
				if err != nil || diff(f, got) != "" {
					t.Errorf("Get(%v) right after Written = %+v, %v, want %+v", f.Pos, got, err, f)
				}
				mu.Lock()
				want[f.Pos] = f
				mu.Unlock()
			}
		})
	}
	wg.Go(func() {
		for range 50 {
			if err := j.Sync(t.Context()); err != nil {
				t.Errorf("Sync() = %v, want nil", err)
			}
			_ = j.Segments()
			_ = j.Stats()
			j.SetFloor(journal.Pos{})
		}
	})
	wg.Go(func() {
		c, err := j.Read(journal.Pos{}, journal.Follow())
		if err != nil {
			t.Errorf("Read() = %v, want nil", err)
			return
		}
		defer closeCursor(t, c)
		for i := range uint64(writers * each) {
			if got, err := c.Next(t.Context()); err != nil || got.Pos.Offset != i+1 {
				t.Errorf("Next() = %v, %v, want frame %d", got.Pos, err, i+1)
				return
			}
		}
	})
	wg.Wait()
	if len(want) != writers*each || j.Head().Offset != writers*each {
		t.Errorf("%d positions, Head() = %v, want %d", len(want), j.Head(), writers*each)
	}
	for _, f := range want {
		wantFrame(t, j, f)
	}
}

func (s suite) testClosed() {
	t := s.t
	j := s.Journal
	p := Write(t, j, journal.Frame{})
	rec, err := j.Seal(journal.Frame{})
	if err != nil {
		t.Fatalf("Seal() = %v, want nil", err)
	}
	waiting, err := j.Read(p.Next(), journal.Follow())
	if err != nil {
		t.Fatalf("Read() = %v, want nil", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, nerr := waiting.Next(context.WithoutCancel(t.Context()))
		ended <- nerr
	}()
	err = j.Close()
	if err != nil {
		t.Fatalf("Close() = %v, want nil", err)
	}
	wantErr(t, "Next() that waited", <-ended, journal.ErrClosed)
	_, err = j.Append(rec)
	wantErr(t, "Append()", err, journal.ErrClosed)
	wantErr(t, "Get()", get(j, 1), journal.ErrClosed)
	_, err = j.Read(journal.Pos{})
	wantErr(t, "Read()", err, journal.ErrClosed)
	wantErr(t, "Recover()", j.Recover(t.Context()), journal.ErrClosed)
	wantErr(t, "Close()", j.Close(), journal.ErrClosed)
	if err := j.Written(t.Context(), p); err != nil {
		t.Errorf("Written(%v) = %v, want nil", p, err)
	}
	if err := j.Durable(t.Context(), p); err != nil {
		t.Errorf("Durable(%v) = %v, want nil: Close fsyncs", p, err)
	}
	closeCursor(t, waiting)
}
