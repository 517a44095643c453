// Package statestest is the contract of features.States as tests: every implementation runs it.
//
// It knows no implementation and tests no engine; features/enginetest does that. Start reading at Run.
package statestest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"pitboss/features"
	"pitboss/journal"
)

// Subject is an implementation under test.
type Subject struct {
	// Open gives states kept in dir. It is called again with the same directory after Close.
	Open func(t *testing.T, dir string) features.States
	// Durable says that what was there is there again after Close and Open.
	Durable bool
}

// Run runs the whole contract.
func Run(t *testing.T, subject Subject) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Subject)
	}{
		{"entities", testEntities}, {"positions", testPositions}, {"erase", testErase}, {"each", testEach},
		{"seen", testSeen}, {"meta", testMeta}, {"large batch", testLargeBatch}, {"closed", testClosed},
		{"concurrent", testConcurrent}, {"reopen", testReopen}, {"erased stays erased", testErasedStays},
		{"cancelled", testCancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, subject) })
	}
}

func open(t *testing.T, subject Subject) features.States {
	t.Helper()
	s := subject.Open(t, t.TempDir())
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, features.ErrClosed) {
			t.Errorf("cannot close: %v", err)
		}
	})
	return s
}

// key gives an entity's key; keys sort as their numbers do.
func key(n int) features.EntityKey {
	k := features.EntityKey{Tenant: [8]byte{1}, Kind: 3}
	k.ID[0], k.ID[1], k.ID[2] = byte(n>>16), byte(n>>8), byte(n)
	return k
}

func pos(offset uint64) journal.Pos { return journal.Pos{Offset: offset} }

// blob gives what an entity at a position might be.
func blob(offset uint64, rest string) []byte {
	return append(features.AppendStatePos(nil, pos(offset)), rest...)
}

func put(t *testing.T, s features.States, n int, from, to uint64, rest string) {
	t.Helper()
	if err := tryPut(s, n, from, to, rest); err != nil {
		t.Fatalf("cannot put entity %d from %d to %d: %v", n, from, to, err)
	}
}

func tryPut(s features.States, n int, from, to uint64, rest string) error {
	old := journal.Pos{}
	if from > 0 {
		old = pos(from)
	}
	return s.Put(context.Background(), []features.StatePut{{Key: key(n), Old: old, New: pos(to), Blob: blob(to, rest)}})
}

func wantBlob(t *testing.T, s features.States, n int, want []byte) {
	t.Helper()
	got, ok, err := s.Get(key(n), nil)
	if err != nil {
		t.Fatalf("cannot get entity %d: %v", n, err)
	}
	if ok != (want != nil) || ok && !gocmp.Equal(got, want) {
		t.Fatalf("entity %d is %q, %v, want %q", n, got, ok, want)
	}
}

func testEntities(t *testing.T, subject Subject) {
	s := open(t, subject)
	wantBlob(t, s, 1, nil)
	put(t, s, 1, 0, 5, "one")
	wantBlob(t, s, 1, blob(5, "one"))
	wantBlob(t, s, 2, nil)
	put(t, s, 1, 5, 300, "changed")
	wantBlob(t, s, 1, blob(300, "changed"))

	// The buffer is used where it is large enough, and what was read before is the caller's.
	buf := make([]byte, 3, 100)
	got, _, err := s.Get(key(1), buf)
	if err != nil || &got[0] != &buf[0] {
		t.Errorf("Get did not read into the buffer: %v", err)
	}
	other, _, _ := s.Get(key(1), nil)
	put(t, s, 1, 300, 301, "again!!")
	if !gocmp.Equal(other, blob(300, "changed")) {
		t.Errorf("a blob that was read changed to %q", other)
	}
}

func testPositions(t *testing.T, subject Subject) {
	s := open(t, subject)
	refused := func(n int, from, to uint64) {
		t.Helper()
		if err := tryPut(s, n, from, to, "x"); !errors.Is(err, features.ErrStatePos) {
			t.Errorf("put of entity %d from %d to %d: %v, want ErrStatePos", n, from, to, err)
		}
	}
	refused(1, 7, 8) // there is none
	put(t, s, 1, 0, 5, "five")
	refused(1, 0, 6) // there is one
	refused(1, 4, 6)
	refused(1, 6, 7)
	wantBlob(t, s, 1, blob(5, "five"))
	put(t, s, 1, 5, math.MaxUint64, "far")
	wantBlob(t, s, 1, blob(math.MaxUint64, "far"))

	// Another partition's position is another position.
	err := s.Put(context.Background(), []features.StatePut{{Key: key(2), New: journal.Pos{Partition: 3, Offset: 9}, Blob: features.AppendStatePos(nil, journal.Pos{Partition: 3, Offset: 9})}})
	if err != nil {
		t.Fatalf("cannot put with a partition: %v", err)
	}
	refused(2, 9, 10)
}

func testErase(t *testing.T, subject Subject) {
	s := open(t, subject)
	put(t, s, 1, 0, 5, "one")
	put(t, s, 2, 0, 6, "two")
	for range 2 {
		if err := s.Erase(key(1)); err != nil {
			t.Fatalf("cannot erase: %v", err)
		}
		wantBlob(t, s, 1, nil)
	}
	wantBlob(t, s, 2, blob(6, "two"))
	if err := tryPut(s, 1, 5, 7, "back"); !errors.Is(err, features.ErrStatePos) {
		t.Errorf("put over an erased entity: %v, want ErrStatePos", err)
	}
	put(t, s, 1, 0, 7, "new")
	wantBlob(t, s, 1, blob(7, "new"))
}

func testEach(t *testing.T, subject Subject) {
	s := open(t, subject)
	for _, n := range []int{5, 1, 70000, 300} {
		put(t, s, n, 0, uint64(n), fmt.Sprint(n))
	}
	if err := s.PutMeta("e", []byte("no entity")); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := s.Each(context.Background(), features.EntityKey{}, func(k features.EntityKey, b []byte) error {
		got = append(got, fmt.Sprintf("%x %s", k.ID[:3], b[len(b)-1:]))
		return nil
	})
	if err != nil {
		t.Fatalf("Each failed: %v", err)
	}
	want := []string{"000001 1", "000005 5", "00012c 0", "011170 0"}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("Each gave (-want +got):\n%s", diff)
	}
	for after, want := range map[int]string{0: "000001", 1: "000005", 2: "000005", 301: "011170", 70000: ""} {
		first := ""
		err = s.Each(context.Background(), key(after), func(k features.EntityKey, _ []byte) error {
			first = cmp.Or(first, fmt.Sprintf("%x", k.ID[:3]))
			return nil
		})
		if err != nil || first != want {
			t.Errorf("after %d Each begins with %q: %v, want %q", after, first, err, want)
		}
	}
	stop := errors.New("enough")
	calls := 0
	err = s.Each(context.Background(), features.EntityKey{}, func(features.EntityKey, []byte) error { calls++; return stop })
	if !errors.Is(err, stop) || calls != 1 {
		t.Errorf("Each went on after an error: %d calls, %v", calls, err)
	}
}

func eventKey(n int) features.EventKey {
	return features.EventKey{byte(n), byte(n >> 8), byte(n >> 16), 0xff}
}

func note(t *testing.T, s features.States, noted ...features.Noted) {
	t.Helper()
	if err := s.Note(context.Background(), noted); err != nil {
		t.Fatalf("cannot note: %v", err)
	}
}

func wantSeen(t *testing.T, s features.States, n int, want *features.Seen) {
	t.Helper()
	got, ok, err := s.Seen(eventKey(n))
	if err != nil {
		t.Fatalf("cannot look event %d up: %v", n, err)
	}
	if ok != (want != nil) || ok && got != *want {
		t.Fatalf("event %d is %+v, %v, want %+v", n, got, ok, want)
	}
}

func testSeen(t *testing.T, subject Subject) {
	s := open(t, subject)
	wantSeen(t, s, 1, nil)
	first := features.Seen{Event: pos(10), Content: [16]byte{1, 2, 3}, Hour: 480_000}
	decided := first
	decided.Decision = pos(12)
	same := features.Seen{Event: pos(math.MaxUint64), Decision: pos(math.MaxUint64), Content: [16]byte{0xff}, Hour: 480_001}
	partition := features.Seen{Event: journal.Pos{Partition: 7, Offset: 1}, Decision: journal.Pos{Partition: 7, Offset: 1}, Hour: 480_001}
	note(t, s, features.Noted{Key: eventKey(1), Seen: first}, features.Noted{Key: eventKey(2), Seen: same}, features.Noted{Key: eventKey(3), Seen: partition})
	wantSeen(t, s, 1, &first)
	wantSeen(t, s, 2, &same)
	wantSeen(t, s, 3, &partition)
	note(t, s, features.Noted{Key: eventKey(1), Seen: decided})
	wantSeen(t, s, 1, &decided)

	// What does not count, and what only waits for its event.
	void, waits := decided, features.Seen{Hour: 480_000, Void: features.TakenBack | features.Replaced}
	void.Void = features.TakenBack
	note(t, s, features.Noted{Key: eventKey(6), Seen: void}, features.Noted{Key: eventKey(7), Seen: waits})
	wantSeen(t, s, 6, &void)
	wantSeen(t, s, 7, &waits)

	// Within one batch the last word counts.
	note(t, s, features.Noted{Key: eventKey(4), Seen: first}, features.Noted{Key: eventKey(4), Seen: decided})
	wantSeen(t, s, 4, &decided)

	// What is kept for ever is no hour of anything else.
	always := features.Seen{Event: pos(9), Hour: features.ForEver, Content: [16]byte{1}}
	note(t, s, features.Noted{Key: eventKey(8), Seen: always})
	defer wantSeen(t, s, 8, &always)

	// What may still be asked for is there, however far time has moved.
	late := features.Seen{Event: pos(20), Hour: 480_000 + features.SeenForHours}
	note(t, s, features.Noted{Key: eventKey(5), Seen: late})
	wantSeen(t, s, 1, &decided)
}

func testMeta(t *testing.T, subject Subject) {
	s := open(t, subject)
	want := func(name string, want []byte) {
		t.Helper()
		got, err := s.Meta(name)
		if err != nil {
			t.Fatalf("cannot read %q: %v", name, err)
		}
		if !bytes.Equal(got, want) || (got == nil) != (want == nil) {
			t.Errorf("%q is %q, want %q", name, got, want)
		}
	}
	want("a", nil)
	value := []byte("first")
	for _, v := range [][]byte{value, []byte("second, longer")} {
		if err := s.PutMeta("a", v); err != nil {
			t.Fatal(err)
		}
		want("a", v)
	}
	if err := s.PutMeta("b", value); err != nil {
		t.Fatal(err)
	}
	value[0] = 'X' // the caller's own
	want("b", []byte("first"))
	want("", nil)
}

// testLargeBatch puts more than any one transaction takes.
func testLargeBatch(t *testing.T, subject Subject) {
	s := open(t, subject)
	const entities, size = 20_000, 200
	rest := string(make([]byte, size))
	batch := make([]features.StatePut, 0, entities)
	for n := range entities {
		batch = append(batch, features.StatePut{Key: key(n), New: pos(uint64(n + 1)), Blob: blob(uint64(n+1), rest)})
	}
	if err := s.Put(context.Background(), batch); err != nil {
		t.Fatalf("cannot put %d entities: %v", entities, err)
	}
	n := 0
	err := s.Each(context.Background(), features.EntityKey{}, func(k features.EntityKey, b []byte) error {
		if k != key(n) || !bytes.Equal(b, batch[n].Blob) {
			return fmt.Errorf("entity %d is %x at %x", n, b[:8], k.ID)
		}
		n++
		return nil
	})
	if err != nil || n != entities {
		t.Errorf("%d of %d entities are there: %v", n, entities, err)
	}
	noted := make([]features.Noted, 0, entities)
	for n := range entities {
		noted = append(noted, features.Noted{Key: eventKey(n), Seen: features.Seen{Event: pos(uint64(n + 1)), Hour: 480_000}})
	}
	note(t, s, noted...)
	for _, n := range []int{0, 1, entities / 2, entities - 1} {
		wantSeen(t, s, n, &noted[n].Seen)
	}
	if err := s.Sync(); err != nil {
		t.Errorf("cannot sync: %v", err)
	}
}

func testClosed(t *testing.T, subject Subject) {
	s := open(t, subject)
	if err := s.Close(); err != nil {
		t.Fatalf("cannot close: %v", err)
	}
	f := func(name string, err error) {
		t.Helper()
		if !errors.Is(err, features.ErrClosed) {
			t.Errorf("%s after Close: %v, want ErrClosed", name, err)
		}
	}
	_, _, err := s.Get(key(1), nil)
	f("Get", err)
	_, _, err = s.Seen(eventKey(1))
	f("Seen", err)
	_, err = s.Meta("a")
	f("Meta", err)
	f("Put", tryPut(s, 1, 0, 1, "x"))
	f("Note", s.Note(context.Background(), []features.Noted{{}}))
	f("PutMeta", s.PutMeta("a", nil))
	f("Erase", s.Erase(key(1)))
	f("Each", s.Each(context.Background(), features.EntityKey{}, func(features.EntityKey, []byte) error { return nil }))
	f("Sync", s.Sync())
	f("Close", s.Close())
}

// testConcurrent has every entity count its own positions up while others read.
func testConcurrent(t *testing.T, subject Subject) {
	s := open(t, subject)
	const writers, rounds = 8, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for r := range uint64(rounds) {
				if err := tryPut(s, w, r, r+1, "x"); err != nil {
					t.Errorf("writer %d, round %d: %v", w, r, err)
					return
				}
			}
		})
		wg.Go(func() {
			for range rounds {
				b, ok, err := s.Get(key(w), nil)
				if err != nil {
					t.Errorf("cannot read: %v", err)
					return
				}
				if _, err := features.StatePos(b); ok && err != nil {
					t.Errorf("a torn read: %x: %v", b, err)
				}
			}
		})
	}
	wg.Wait()
	for w := range writers {
		wantBlob(t, s, w, blob(rounds, "x"))
	}
}

func testReopen(t *testing.T, subject Subject) {
	if !subject.Durable {
		t.Skip("nothing survives Close, as promised")
	}
	dir := t.TempDir()
	s := subject.Open(t, dir)
	put(t, s, 1, 0, 5, "one")
	put(t, s, 2, 0, 6, "two")
	if err := s.Erase(key(2)); err != nil {
		t.Fatal(err)
	}
	seen := features.Seen{Event: pos(5), Decision: pos(9), Hour: 480_000}
	note(t, s, features.Noted{Key: eventKey(1), Seen: seen})
	if err := s.PutMeta("a", []byte("value")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatalf("cannot close: %v", err)
	}
	s = subject.Open(t, dir)
	defer func() { _ = s.Close() }()
	wantBlob(t, s, 1, blob(5, "one"))
	wantBlob(t, s, 2, nil)
	wantSeen(t, s, 1, &seen)
	if got, err := s.Meta("a"); err != nil || string(got) != "value" {
		t.Errorf("the named value is %q: %v", got, err)
	}
	put(t, s, 1, 5, 6, "on")
	wantBlob(t, s, 1, blob(6, "on"))
}

// testErasedStays writes and erases the same entities over and over, with enough beside them that what is stored moves
// through all its levels: deleted keys that come back were bugs of stores before.
func testErasedStays(t *testing.T, subject Subject) {
	dir := t.TempDir()
	s := subject.Open(t, dir)
	defer func() { _ = s.Close() }()
	const entities, rounds, size = 300, 12, 4000
	rest := string(make([]byte, size))
	for round := range rounds {
		for n := range entities {
			put(t, s, n, 0, uint64(round*entities+n+1), rest)
		}
		for n := range entities {
			if err := s.Erase(key(n)); err != nil {
				t.Fatal(err)
			}
		}
		put(t, s, 1000+round, 0, 1, rest)
		if subject.Durable && round%4 == 3 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = subject.Open(t, dir)
		}
		for n := range entities {
			wantBlob(t, s, n, nil)
		}
	}
	n := 0
	if err := s.Each(context.Background(), features.EntityKey{}, func(features.EntityKey, []byte) error { n++; return nil }); err != nil || n != rounds {
		t.Errorf("%d entities are there, want %d: %v", n, rounds, err)
	}
}

func testCancelled(t *testing.T, subject Subject) {
	s := open(t, subject)
	put(t, s, 1, 0, 5, "one")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Put(ctx, []features.StatePut{{Key: key(2), New: pos(1), Blob: blob(1, "x")}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Put: %v, want context.Canceled", err)
	}
	if err := s.Each(ctx, features.EntityKey{}, func(features.EntityKey, []byte) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("Each: %v, want context.Canceled", err)
	}
	wantBlob(t, s, 2, nil)
}
