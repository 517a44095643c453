package tiles_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitboss/features/tiles"
)

// goldenState is a state that never changes, built in a way that anyone can follow.
type goldenState struct {
	name   string
	spec   tiles.Spec
	newest int64
	add    func(s *tiles.State, l *tiles.Layout)
}

func goldenStates() []goldenState {
	base, _ := parseTime("20T12:00:00")
	all := tiles.Windows(tiles.AllWindows()...)
	full := tiles.Spec{Windows: all, Sums: 2, Distincts: 2, Last: true, Raw: 4}
	every := func(n int, step time.Duration, value, games int64) func(s *tiles.State, l *tiles.Layout) {
		return func(s *tiles.State, l *tiles.Layout) {
			for i := range int64(n) {
				at := base - i*step.Microseconds()
				c := tiles.Contribution{At: at, ID: uint32(i) * 2654435761, Values: []int64{value, -i}}
				c.Categories = []uint64{0x9e3779b97f4a7c15 * uint64(1+i%games), uint64(i % 2)}
				c.Slots = []int32{int32(i % games), int32(i%3) - 1}
				s.Add(l, &c, base-graceMicros)
			}
		}
	}
	return []goldenState{
		{"empty", full, base, func(*tiles.State, *tiles.Layout) {}},
		{"one", full, base, every(1, time.Second, 250, 1)},
		{"session", full, base, every(120, 3*time.Second, 250, 5)},
		{"month", full, base, every(1000, 41*time.Minute, -1234567, 40)},
		{"wide", full, base, every(9, 500*time.Millisecond, 1<<62, 3)},
		{"capped", full, base, every(300, 7*time.Second, 1, 300)},
		{"void", full, base, func(s *tiles.State, l *tiles.Layout) {
			every(30, 3*time.Second, 250, 5)(s, l)
			for _, i := range []int64{1, 2, 20} {
				c := tiles.Contribution{At: base - i*3e6, ID: uint32(i) * 2654435761, Values: []int64{250, -i}}
				c.Categories = []uint64{0x9e3779b97f4a7c15 * uint64(1+i%5), uint64(i % 2)}
				s.Void(l, &c, base-graceMicros)
			}
			s.Miss(base-3600e6, base-graceMicros)
		}},
		{"count_only", tiles.Spec{Windows: tiles.Windows(tiles.W24h)}, base, every(50, time.Minute, 0, 1)},
		{"times_only", tiles.Spec{Last: true}, base, every(50, time.Minute, 0, 1)},
		{"extremes", tiles.Spec{Windows: all, Values: 2, Sums: 1, Raw: 6, RawValues: 2, Squares: 1, Lows: 2, Highs: 2}, base, every(400, 3*time.Hour, 250, 5)},
		{"large", tiles.Spec{Windows: all, Distincts: 1, Larges: 1, CountWindows: tiles.Windows(tiles.W24h, tiles.W7d), Raw: 4}, base, func(s *tiles.State, l *tiles.Layout) {
			for i := range uint64(600) {
				s.Add(l, &tiles.Contribution{At: base - int64(i)*700e6, ID: uint32(i), Categories: []uint64{i % 3, (i + 1) * 0x9e3779b97f4a7c15}}, base-graceMicros)
			}
		}},
		{"counts", tiles.Spec{Windows: all, Counts: []int{5, 3}, CountWindows: tiles.Windows(tiles.W1h, tiles.W24h), Shifts: []tiles.Span{{Window: tiles.W24h, Shift: 7 * 24 * time.Hour}}}, base, every(500, 3*time.Hour, 0, 5)},
		{"hours", tiles.Spec{Windows: all, Sums: 1, Counts: []int{5}, CountWindows: tiles.Windows(tiles.W24h), Hours: tiles.Windows(tiles.W7d, tiles.W30d)}, base, every(500, 47*time.Minute, 7, 5)},
		{"squares_wide", tiles.Spec{Windows: all, Sums: 2, Squares: 3}, base, every(9, time.Minute, 1<<53, 5)},
		{"raw_values", tiles.Spec{Windows: all, Values: 2, Sums: 1, Distincts: 1, Raw: 6, RawValues: 3}, base, every(120, 3*time.Second, 250, 5)},
		{"exact", tiles.Spec{Windows: all, Sums: 2, Distincts: 1, Recent: 30, Exact: true}, base, every(120, 3*time.Second, 250, 5)},
		{"exact_counts", tiles.Spec{Windows: all, Sums: 1, Counts: []int{5, 3, 2, 7, 300}, CountWindows: all, Recent: 30, Exact: true}, base, func(s *tiles.State, l *tiles.Layout) {
			for i := range int64(60) {
				slots := []int32{int32(i % 5), int32(i%4) - 1, int32(i%3) - 1, int32(i % 7), int32(i * 5 % 300)}
				s.Add(l, &tiles.Contribution{At: base - i*7e6, ID: uint32(i), Values: []int64{i}, Slots: slots}, base-graceMicros)
			}
		}},
	}
}

func (g *goldenState) build(t *testing.T) (*tiles.Layout, *tiles.State) {
	t.Helper()
	l, err := tiles.NewLayout(g.spec)
	if err != nil {
		t.Fatal(err)
	}
	s := &tiles.State{}
	g.add(s, l)
	s.Compact(l, g.newest-graceMicros)
	return l, s
}

func readAll(l *tiles.Layout, s *tiles.State, at, horizon int64) result {
	var r tiles.Reading
	s.Read(l, at, horizon, nil, nil, &r)
	return resultOf(l.Spec(), &r)
}

// TestGoldenFiles holds the format: bytes that an earlier build wrote are read, and mean what they meant.
func TestGoldenFiles(t *testing.T) {
	for _, g := range goldenStates() {
		t.Run(g.name, func(t *testing.T) {
			l, s := g.build(t)
			file := filepath.Join("testdata", "golden", g.name+".hex")
			got := hex.EncodeToString(s.AppendBinary(l, nil))
			if *rewrite {
				if err := os.WriteFile(file, []byte(lines(got)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want := strings.ReplaceAll(string(text), "\n", "")
			if got != want {
				t.Errorf("encoded\n%s\nwant\n%s", got, want)
			}
			data, err := hex.DecodeString(want)
			if err != nil {
				t.Fatal(err)
			}
			var back tiles.State
			if err := back.DecodeBinary(l, data); err != nil {
				t.Fatalf("cannot decode the golden file: %v", err)
			}
			horizon := g.newest - graceMicros
			for _, at := range []int64{g.newest, horizon, horizon - 1e8, g.newest + 3*86400e6} {
				if diff := cmp.Diff(readAll(l, s, at, horizon), readAll(l, &back, at, horizon)); diff != "" {
					t.Errorf("reading at %d (-built +decoded):\n%s", at, diff)
				}
			}
		})
	}
}

// lines breaks hex into lines that a diff can show.
func lines(text string) string {
	var b strings.Builder
	for len(text) > 100 {
		b.WriteString(text[:100] + "\n")
		text = text[100:]
	}
	return b.String() + text + "\n"
}

func TestDecodeRefuses(t *testing.T) {
	g := goldenStates()[2]
	l, s := g.build(t)
	good := s.AppendBinary(l, nil)
	other, err := tiles.NewLayout(tiles.Spec{Windows: tiles.Windows(tiles.W1h), Sums: 2})
	if err != nil {
		t.Fatal(err)
	}
	f := func(name string, l *tiles.Layout, data []byte, want error) {
		t.Helper()
		back := s.Clone()
		if err := back.DecodeBinary(l, data); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", name, err, want)
		}
		if r := readAll(l, back, g.newest, g.newest-graceMicros); r.Windows[0].Count != 0 {
			t.Errorf("%s: the state is not empty after an error: %+v", name, r)
		}
	}
	f("no bytes", l, nil, tiles.ErrVersion)
	f("a newer format", l, append([]byte{2}, good[1:]...), tiles.ErrVersion)
	f("another layout", other, good, tiles.ErrLayout)
	f("bytes after the end", l, append(bytes.Clone(good), 0), tiles.ErrCorrupt)
	f("a section twice", l, append(bytes.Clone(good), good[13:]...), tiles.ErrCorrupt)
	// The header alone is an empty state; between it and the end, only the end of a section can be one too.
	ok := 0
	for n := 1; n < len(good); n++ {
		var back tiles.State
		err := back.DecodeBinary(l, good[:n])
		if err == nil {
			ok++
		} else if !errors.Is(err, tiles.ErrCorrupt) && !errors.Is(err, tiles.ErrLayout) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	if ok != 4 {
		t.Errorf("%d cuts were decoded, want those after the horizon and after three of the four sections", ok)
	}
}

// FuzzDecode feeds bytes to the decoder. What it takes is used, and must neither panic nor take more memory than a few
// times its bytes, and comes out as it went in.
func FuzzDecode(f *testing.F) {
	layouts := map[byte]*tiles.Layout{}
	for i, g := range goldenStates() {
		l, err := tiles.NewLayout(g.spec)
		if err != nil {
			f.Fatal(err)
		}
		layouts[byte(i)] = l
		s := &tiles.State{}
		g.add(s, l)
		s.Compact(l, g.newest-graceMicros)
		f.Add(byte(i), s.AppendBinary(l, nil))
	}
	f.Fuzz(func(t *testing.T, which byte, data []byte) {
		l := layouts[which%byte(len(layouts))]
		var s tiles.State
		if err := s.DecodeBinary(l, data); err != nil {
			return
		}
		if got, most := s.MemBytes(), 1024+16*len(data); got > most {
			t.Errorf("%d bytes decode to %d in memory, want at most %d", len(data), got, most)
		}
		encoded := s.AppendBinary(l, nil)
		var back tiles.State
		if err := back.DecodeBinary(l, encoded); err != nil {
			t.Fatalf("%x decodes, but encoded as %x: %v", data, encoded, err)
		}
		if again := back.AppendBinary(l, nil); !bytes.Equal(encoded, again) {
			t.Fatalf("encoded %x, then %x", encoded, again)
		}
		use(l, &s)
	})
}

// use does with a state what an owner does.
func use(l *tiles.Layout, s *tiles.State) {
	spec := l.Spec()
	c := tiles.Contribution{
		Values: make([]int64, spec.Values), Categories: make([]uint64, spec.Distincts+spec.Larges), Slots: make([]int32, len(spec.Counts)),
	}
	var r tiles.Reading
	for _, at := range []int64{0, 1e6, 1_768_910_400_000_000, 1_768_910_401_000_000, 1 << 52, -1 << 63, 1<<63 - 1} {
		c.At = at
		s.Read(l, at, at-graceMicros, &c, nil, &r)
		readLazily(spec, &r)
		s.Read(l, at, at-graceMicros, nil, &c, &r)
		readLazily(spec, &r)
		s.Add(l, &c, at)
		s.Void(l, &c, at)
		s.AddVoid(l, &c, at)
		s.Miss(at, at)
		s.Compact(l, at)
	}
}

// readLazily asks for all that is worked out when asked.
func readLazily(spec tiles.Spec, r *tiles.Reading) {
	for _, w := range spec.CountWindows.List() {
		for i := range spec.Larges {
			r.Large(w, i)
		}
		for i := range spec.Counts {
			r.Entropy(tiles.Span{Window: w}, i)
			r.Quantile(tiles.Span{Window: w}, i, 500_000)
		}
	}
	for _, w := range spec.Windows.List() {
		for i := range spec.Values {
			if spec.Lows.Has(i) {
				r.Low(w, i)
			}
			if spec.Highs.Has(i) {
				r.High(w, i)
			}
		}
		r.Decayed(w, spec.Sums-1, w.Length()/4)
		var slots tiles.Slots
		r.Slots(w, &slots)
		if spec.Hours.Has(w) {
			r.ActiveHours(w)
			r.QuietHours(w)
		}
	}
	for _, span := range spec.Shifts {
		r.CountIn(span)
		for i := range spec.Sums {
			r.SumIn(span, i)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	hour := tiles.Windows(tiles.W1h)
	f := func(spec tiles.Spec, want string) {
		t.Helper()
		_, err := tiles.NewLayout(spec)
		if fmt.Sprint(err) != want {
			t.Errorf("NewLayout(%+v): got %v, want %s", spec, err, want)
		}
	}
	f(tiles.Spec{Windows: 1 << 6}, "window set 0x40 names an unknown window")
	f(tiles.Spec{Windows: hour, Sums: 17}, "a group can sum at most 16 values, not 17")
	f(tiles.Spec{Windows: hour, Distincts: 9}, "a group can count at most 8 categories, not 9")
	f(tiles.Spec{Windows: hour, Raw: 257}, "a group can keep 2 to 256 raw contributions, not 257")
	f(tiles.Spec{Windows: hour, Raw: 1}, "a group can keep 2 to 256 raw contributions, not 1")
	f(tiles.Spec{Sums: 1}, "sums and distinct counts need a window")
	f(tiles.Spec{Windows: hour, Sums: 3, Values: 2}, "a contribution can have at most 32 values, and those that are summed, not 2")
	f(tiles.Spec{Windows: hour, Values: 33}, "a contribution can have at most 32 values, and those that are summed, not 33")
	f(tiles.Spec{Windows: hour, Values: 2, RawValues: 5}, "raw values 0x5 name one that no contribution has")
	f(tiles.Spec{Windows: hour, Sums: 1, Squares: 2}, "squares 0x2 name a value that is not summed")
	f(tiles.Spec{Windows: hour, Sums: 1, RawValues: 1, Lows: 1}, "lows and highs 0x1 name a value that is summed, or that raw contributions do not keep")
	f(tiles.Spec{Windows: hour, Values: 2, RawValues: 1, Highs: 2}, "lows and highs 0x2 name a value that is summed, or that raw contributions do not keep")
	f(tiles.Spec{Last: true, Values: 1, RawValues: 1, Highs: 1}, "lows and highs need a window")
	f(tiles.Spec{Windows: hour, Recent: 257}, "a group can promise its newest 256 contributions, not 257")
	f(tiles.Spec{Windows: hour, Exact: true}, "exact windows need a window, and recent contributions to be read from")
	f(tiles.Spec{Last: true, Recent: 2, Exact: true}, "exact windows need a window, and recent contributions to be read from")
	f(tiles.Spec{Windows: hour, Counts: []int{0}}, "a table needs a window and 1 to 8192 slots, not 0")
	f(tiles.Spec{Last: true, Counts: []int{4}}, "a table needs a window and 1 to 8192 slots, not 4")
	f(tiles.Spec{Windows: hour, Counts: []int{1}}, "tables and large counts need windows to be read over, which are some of the group's")
	f(tiles.Spec{Windows: hour, Counts: []int{1}, CountWindows: hour << 1}, "tables and large counts need windows to be read over, which are some of the group's")
	f(tiles.Spec{Windows: hour, Counts: make([]int, 9)}, "a group can have at most 8 tables and 16 shifted windows, not 9 and 0")
	shift := func(w tiles.Window, by time.Duration) []tiles.Span { return []tiles.Span{{Window: w, Shift: by}} }
	const day = 24 * time.Hour
	f(tiles.Spec{Windows: hour, Shifts: shift(tiles.W24h, day)}, "a shifted window is one of the windows, by more than nothing: 24h, 24h0m0s")
	f(tiles.Spec{Windows: hour, Shifts: shift(tiles.W1h, 0)}, "a shifted window is one of the windows, by more than nothing: 1h, 0s")
	f(tiles.Spec{Windows: hour, Shifts: shift(tiles.W1h, 61*day)}, "a window can be shifted by up to 60d, in whole seconds")
	f(tiles.Spec{Windows: hour, Shifts: shift(tiles.W1h, 7*day)}, "the 1h window is kept in steps of 1m, of which 7d1h would take 10140, and at most 1024 are kept: take 24h, the next window that can be shifted so far")
	f(tiles.Spec{}, "a group must keep something: a window, or its first and last times")
	f(tiles.Spec{Windows: hour, Sums: 16, Distincts: 8, Raw: 256}, "<nil>")
}
