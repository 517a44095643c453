package states_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"pitboss/features"
	"pitboss/features/states"
	"pitboss/journal"
)

func hashOf(n uint64) [32]byte { return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, n)) }

func fullBadger(b *testing.B, entries int) *states.Badger {
	b.Helper()
	s, err := states.OpenBadger(states.BadgerConfig{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	var noted []features.Noted
	var puts []features.StatePut
	for n := range uint64(entries) {
		h := hashOf(n)
		noted = append(noted, features.Noted{Key: features.EventKey(h[:16]), Seen: features.Seen{Event: journal.Pos{Offset: n + 1}, Hour: 490_000}})
		if n%4 == 0 {
			pos := journal.Pos{Offset: n + 1}
			puts = append(puts, features.StatePut{Key: features.EntityKey{ID: [16]byte(h[:16])}, New: pos, Blob: append(features.AppendStatePos(nil, pos), make([]byte, 800)...)})
		}
		if len(noted) < 4096 {
			continue
		}
		if err := s.Note(context.Background(), noted); err != nil {
			b.Fatal(err)
		}
		if err := s.Put(context.Background(), puts); err != nil {
			b.Fatal(err)
		}
		noted, puts = noted[:0], puts[:0]
	}
	return s
}

// BenchmarkSeen looks events up among half a million: one that is not there, which is what nearly all are, and one that
// is.
func BenchmarkSeen(b *testing.B) {
	const entries = 500_000
	s := fullBadger(b, entries)
	for _, c := range []struct {
		name string
		from uint64
		want bool
	}{{"absent", 1 << 40, false}, {"there", 0, true}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			n := uint64(0)
			for b.Loop() {
				h := hashOf(c.from + n*7919%400_000)
				n++
				if _, ok, err := s.Seen(features.EventKey(h[:16])); err != nil || ok != c.want {
					b.Fatalf("%v %v", ok, err)
				}
			}
		})
	}
}

// BenchmarkGet reads a cold entity of 800 bytes.
func BenchmarkGet(b *testing.B) {
	s := fullBadger(b, 200_000)
	var buf []byte
	n := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		h := hashOf(n * 7919 % 40_000 * 4)
		n++
		blob, ok, err := s.Get(features.EntityKey{ID: [16]byte(h[:16])}, buf)
		if err != nil || !ok {
			b.Fatalf("%v %v", ok, err)
		}
		buf = blob
	}
}
