package states

import (
	"context"
	"fmt"
	"testing"

	"pitboss/features"
	"pitboss/journal"
)

// TestErasedStaysErased erases entities between writes, flushes, compactions of every level and restarts: none comes
// back. Badger had such defects (dgraph-io/badger issues 2143, 2286); the version is pinned above them.
func TestErasedStaysErased(t *testing.T) {
	dir := t.TempDir()
	cfg := BadgerConfig{Dir: dir, MemoryBytes: minMemoryBytes}
	open := func() *Badger {
		s, err := OpenBadger(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	key := func(n int) features.EntityKey {
		return features.EntityKey{Kind: 3, ID: [16]byte{byte(n * 37), byte(n), byte(n >> 8)}}
	}
	blob := func(n int, pos journal.Pos) []byte {
		return append(features.AppendStatePos(nil, pos), make([]byte, 1500+n%700)...)
	}
	const rounds = 6
	at := map[int]journal.Pos{}
	erased := map[int]bool{}
	offset := uint64(0)
	for round := range rounds {
		s := open()
		var puts []features.StatePut
		for n := range entities {
			if erased[n] && n%4 != 0 { // a fourth comes back as somebody new
				continue
			}
			offset++
			pos := journal.Pos{Offset: offset}
			puts = append(puts, features.StatePut{Key: key(n), Old: at[n], New: pos, Blob: blob(n, pos)})
			at[n] = pos
			delete(erased, n)
		}
		if err := s.Put(context.Background(), puts); err != nil {
			t.Fatal(err)
		}
		for n := round; n < entities; n += 5 {
			if err := s.Erase(key(n)); err != nil {
				t.Fatal(err)
			}
			erased[n] = true
			delete(at, n)
		}
		wantErased(t, s, fmt.Sprint("round ", round), key, erased)
		if err := s.db.Flatten(1); err != nil {
			t.Fatalf("cannot compact: %v", err)
		}
		wantErased(t, s, fmt.Sprint("round ", round, ", compacted"), key, erased)
		if err := s.Close(); err != nil { // which writes the memtable as a table
			t.Fatal(err)
		}
		s = open()
		wantErased(t, s, fmt.Sprint("round ", round, ", restarted"), key, erased)
		if err := s.db.Flatten(1); err != nil {
			t.Fatalf("cannot compact: %v", err)
		}
		wantErased(t, s, fmt.Sprint("round ", round, ", restarted and compacted"), key, erased)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// entities is how many there are in the soak test.
const entities = 1200

func wantErased(t *testing.T, s *Badger, when string, key func(int) features.EntityKey, erased map[int]bool) {
	t.Helper()
	for n := range entities {
		_, ok, err := s.Get(key(n), nil)
		if err != nil || ok == erased[n] {
			t.Fatalf("%s: entity %d: there is %v, erased is %v: %v", when, n, ok, erased[n], err)
		}
	}
	found := 0
	err := s.Each(context.Background(), features.EntityKey{}, func(features.EntityKey, []byte) error { found++; return nil })
	if err != nil || found != entities-len(erased) {
		t.Fatalf("%s: %d entities, want %d: %v", when, found, entities-len(erased), err)
	}
}
