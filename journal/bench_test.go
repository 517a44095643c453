package journal_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	gosync "sync"
	"testing"
	"time"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

// benchJournal is on the real disk, as configured by default.
func benchJournal(b *testing.B) (journal.Journal, journal.KeyID) {
	b.Helper()
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey = b.TempDir(), journaltest.MasterKey()
	j, _, err := journal.OpenFile(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := j.Close(); err != nil {
			b.Error(err)
		}
	})
	return j, makeKeys(b, j, 1)[0]
}

// record is about what a decision takes: 1 KB that compresses by a half or so.
func record() []byte {
	const size = 1 << 10
	p := make([]byte, 0, size+32)
	for i := 0; len(p) < size; i++ {
		p = fmt.Appendf(p, "field_%02d=%x;", i%40, uint32(i*i)*2654435761)
	}
	return p[:size]
}

func BenchmarkSeal(b *testing.B) {
	j, key := benchJournal(b)
	f := journal.Frame{KeyID: key, Payload: record()}
	b.SetBytes(1 << 10)
	b.ReportAllocs()
	for b.Loop() {
		s, err := j.Seal(f)
		if err != nil {
			b.Fatal(err)
		}
		s.Release()
	}
}

// BenchmarkSealColdKey seals for more subjects than ciphers are cached for.
func BenchmarkSealColdKey(b *testing.B) {
	j, _ := benchJournal(b)
	ids := makeKeys(b, j, 50_000)
	f := journal.Frame{Payload: record()}
	for i := 0; b.Loop(); i++ {
		f.KeyID = ids[i*7919%len(ids)]
		s, err := j.Seal(f)
		if err != nil {
			b.Fatal(err)
		}
		s.Release()
	}
}

// nullFS forgets what is written to the log.
type nullFS struct{ *vfs.Mem }

func (n nullFS) Create(path string) (vfs.File, error) {
	f, err := n.Mem.Create(path)
	return nullFile{f}, err
}

type nullFile struct{ vfs.File }

func (nullFile) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }

// BenchmarkAppend is the caller's critical section alone: the disk takes everything at once.
func BenchmarkAppend(b *testing.B) {
	cfg := memConfig()
	cfg.SegmentBytes, cfg.BufferBytes = 1<<30, 32<<20
	j, _ := open(b, cfg, nullFS{vfs.NewMem()})
	s, err := j.Seal(journal.Frame{Payload: record()})
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(1 << 10)
	b.ReportAllocs()
	for i := 1; b.Loop(); i++ {
		p, err := j.Append(s)
		if i%1000 == 0 && err == nil { // the buffer must not run full
			err = j.Written(b.Context(), p)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWritten is what a decision pays: seal, append and wait for write(2).
func BenchmarkWritten(b *testing.B) { benchWait(b, journal.Journal.Written) }

// BenchmarkDurable waits for fsync instead.
func BenchmarkDurable(b *testing.B) { benchWait(b, journal.Journal.Durable) }

func benchWait(b *testing.B, wait func(journal.Journal, context.Context, journal.Pos) error) {
	b.Helper()
	for _, n := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("callers=%d", n), func(b *testing.B) {
			j, key := benchJournal(b)
			payload := record()
			b.ReportAllocs()
			b.ResetTimer()
			var wg gosync.WaitGroup
			for c := range n {
				wg.Go(func() {
					for range (b.N + n - 1 - c) / n {
						if err := one(b.Context(), j, key, payload, wait); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			st := j.Stats()
			b.ReportMetric(float64(st.Frames)/float64(st.Batches), "frames/write")
			b.ReportMetric(float64(st.Frames)/float64(max(st.Fsyncs, 1)), "frames/fsync")
			b.ReportMetric(float64(st.FsyncMax)/float64(time.Millisecond), "ms-fsync-max")
		})
	}
}

func one(ctx context.Context, j journal.Journal, key journal.KeyID, payload []byte, wait func(journal.Journal, context.Context, journal.Pos) error) error {
	s, err := j.Seal(journal.Frame{KeyID: key, Payload: payload})
	if err != nil {
		return err
	}
	defer s.Release()
	p, err := j.Append(s)
	if err != nil {
		return err
	}
	return wait(j, ctx, p)
}

// filled is a journal of 50,000 records of 1 KB for 1,000 subjects, in compact segments or not.
func filled(b *testing.B, compact bool) (journal.Journal, int) {
	b.Helper()
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey, cfg.SegmentBytes, cfg.Compact = b.TempDir(), journaltest.MasterKey(), 8<<20, compact
	j, _, err := journal.OpenFile(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := j.Close(); err != nil {
			b.Error(err)
		}
	})
	ids := makeKeys(b, j, 1000)
	const n = 50_000
	for i := range n {
		journaltest.Append(b, j, journal.Frame{KeyID: ids[i%len(ids)], Payload: record()})
		if i%1000 == 0 {
			sync(b, j)
		}
	}
	sync(b, j)
	if !compact {
		return j, n
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for segments := j.Segments(); !segments[len(segments)-2].Compact; segments = j.Segments() {
		<-tick.C
	}
	return j, n
}

func BenchmarkGet(b *testing.B) {
	for _, compact := range []bool{false, true} {
		b.Run(fmt.Sprintf("compact=%v", compact), func(b *testing.B) {
			j, n := filled(b, compact)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := j.Get(journal.Pos{Offset: uint64(i*7919%n) + 1}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, compact := range []bool{false, true} {
		b.Run(fmt.Sprintf("compact=%v", compact), func(b *testing.B) {
			j, n := filled(b, compact)
			b.SetBytes(int64(n) << 10)
			b.ReportAllocs()
			for b.Loop() {
				c, err := j.Read(journal.Pos{})
				if err != nil {
					b.Fatal(err)
				}
				frames := 0
				for ; err == nil; frames++ {
					_, err = c.Next(b.Context())
				}
				if !errors.Is(err, io.EOF) || frames != n+1 {
					b.Fatalf("%d frames, then %v", frames-1, err)
				}
				if err := c.Close(); err != nil {
					b.Fatal(err)
				}
			}
			st := j.Stats()
			if st.CompactedIn > 0 {
				b.ReportMetric(float64(st.CompactedOut)/float64(st.CompactedIn), "compacted/original")
			}
			b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "frames/s")
		})
	}
}

// BenchmarkOpen opens a journal whose newest segment is full: what a start costs.
func BenchmarkOpen(b *testing.B) {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey = b.TempDir(), journaltest.MasterKey()
	for i := 0; b.Loop(); i++ {
		j, _, err := journal.OpenFile(cfg)
		if err != nil {
			b.Fatal(err)
		}
		if i == 0 {
			b.StopTimer()
			key := makeKeys(b, j, 1)[0]
			for k := range 60_000 {
				journaltest.Append(b, j, journal.Frame{KeyID: key, Payload: record()})
				if k%1000 == 0 {
					sync(b, j)
				}
			}
			b.StartTimer()
		}
		if err := j.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
