package journal_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pitboss/journal"
	"pitboss/journal/internal/vfs"
	"pitboss/journal/journaltest"
)

// goldenConfig opens testdata/journal1 and journal2: journals with compact segments of formats 1 and 2, as they were
// written once, never to be rewritten after a release.
func goldenConfig(dir string) journal.Config {
	cfg := journal.DefaultConfig()
	cfg.Dir, cfg.MasterKey = dir, journaltest.MasterKey()
	cfg.SegmentBytes, cfg.BufferBytes, cfg.MaxPayloadBytes, cfg.Compact = 4<<10, 64<<10, 16<<10, false
	return cfg
}

// writeGolden makes the newest golden journal: plain, sealed, erased and empty frames, in compact segments and in one that is
// not.
func writeGolden(t *testing.T) {
	t.Helper()
	m := vfs.NewMem()
	j, _ := open(t, goldenConfig(dir), m)
	ids := makeKeys(t, j, 3)
	text := strings.Repeat("event and decision in one frame; ", 20)
	for i := range 60 {
		f := journal.Frame{Kind: journal.Kind(i), Time: 1_700_000_000_000_000 + int64(i), Payload: []byte(text[:i*11])}
		if i%4 > 0 {
			f.KeyID = ids[i%4-1]
		}
		journaltest.Write(t, j, f)
		if i%10 == 0 {
			sync(t, j)
		}
	}
	if err := j.Keys().Drop(ids[1]); err != nil {
		t.Fatal(err)
	}
	closeJournal(t, j)
	compactAll(t, goldenConfig(dir), m)
	for name, data := range snapshot(t, m) {
		if err := os.WriteFile(filepath.Join("testdata", "journal2", name), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// describe prints all frames of a journal, a line each.
func describe(t *testing.T, j journal.Journal) string {
	t.Helper()
	var b strings.Builder
	c, err := j.Read(journal.Pos{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}()
	for {
		f, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%v kind %d key %d time %d erased %v %q\n", f.Pos, f.Kind, f.KeyID, f.Time, f.Erased, f.Payload)
	}
	for _, s := range j.Segments() {
		fmt.Fprintf(&b, "%v to %v compact %v sha256 %x\n", s.First, s.Last, s.Compact, s.SHA256)
	}
	return b.String()
}

// TestGoldenJournal reads journals that earlier builds wrote.
func TestGoldenJournal(t *testing.T) {
	rewrite := flag.Lookup("rewrite").Value.String() == "true"
	if rewrite {
		writeGolden(t)
	}
	t.Run("format 1", func(t *testing.T) { readGolden(t, "journal1", false) })
	t.Run("format 2", func(t *testing.T) { readGolden(t, "journal2", rewrite) })
}

func readGolden(t *testing.T, name string, rewrite bool) {
	t.Helper()
	tmp := t.TempDir()
	if err := os.CopyFS(tmp, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	j, rep, err := journal.OpenFile(goldenConfig(tmp))
	if err != nil {
		t.Fatalf("OpenFile() = %v, want nil", err)
	}
	if !rep.Clean || rep.TruncatedBytes > 0 {
		t.Errorf("Report = %+v, want clean", rep)
	}
	got := describe(t, j)
	closeJournal(t, j)
	frames := filepath.Join("testdata", name+".txt")
	if rewrite {
		err = os.WriteFile(frames, []byte(got), 0o644)
		if err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(frames)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("frames of the golden journal:\n%s\nwant\n%s", got, want)
	}
}

// FuzzDamage changes the files of a killed journal in any way: opening and reading end with an error or with the frames
// that were written, never with others, never with a panic.
func FuzzDamage(f *testing.F) {
	m := vfs.NewMem()
	j, _, err := journal.OpenFS(goldenConfig(dir), m)
	if err != nil {
		f.Fatal(err)
	}
	ids := makeKeys(f, j, 2)
	want := map[journal.Pos]journal.Frame{}
	for i := range uint64(60) {
		fr := journal.Frame{Kind: journal.Kind(i), Time: int64(i), KeyID: ids[i%2] * journal.KeyID(i%3%2), Payload: payload(i * 5)}
		fr.Pos = journaltest.Write(f, j, fr)
		want[fr.Pos] = fr
	}
	killed := m.Kill()
	if err = j.Close(); err != nil {
		f.Fatal(err)
	}
	files := append(logs(f, killed), keysFile, path.Join(dir, "state"))
	f.Add(uint8(0), uint32(100), []byte{1}, uint32(1<<31))
	f.Add(uint8(2), uint32(0), make([]byte, 64), uint32(64))
	f.Add(uint8(3), uint32(64), []byte{2}, uint32(200))
	f.Add(uint8(4), uint32(40), []byte{0xff}, uint32(1<<31))
	f.Fuzz(func(t *testing.T, file uint8, at uint32, xor []byte, size uint32) {
		m := killed.Kill()
		name := files[int(file)%len(files)]
		data := m.Bytes(name)
		for i := range xor {
			if k := int(at) + i; k < len(data) {
				data[k] ^= xor[i]
			} else if len(data) < 1<<16 {
				data = append(data, xor[i])
			}
		}
		m.SetBytes(name, data[:min(int(size), len(data))])
		cfg := goldenConfig(dir)
		cfg.AcceptUnsyncedLoss = size%2 == 0
		j, _, err := journal.OpenFS(cfg, m)
		if err != nil {
			wantNamed(t, err)
			return
		}
		defer closeJournal(t, j)
		for p := (journal.Pos{Offset: 1}); p.Compare(j.Head()) <= 0; p = p.Next() {
			got, gerr := j.Get(p)
			if gerr != nil {
				wantNamed(t, gerr)
				continue
			}
			if w := want[p]; got.Erased || got.Kind != w.Kind || got.Time != w.Time || got.KeyID != w.KeyID || !bytes.Equal(got.Payload, w.Payload) {
				t.Errorf("Get(%v) = %+v, want %+v", p, got, w)
			}
		}
	})
}

// wantNamed says whether an error is one that a caller can branch on.
func wantNamed(t *testing.T, err error) {
	t.Helper()
	named := []error{journal.ErrCorrupt, journal.ErrFormat, journal.ErrForeign, journal.ErrWrongKey}
	if !slices.ContainsFunc(named, func(target error) bool { return errors.Is(err, target) }) {
		t.Errorf("error = %v, want one of %v", err, named)
	}
}
