package tiles_test

import (
	"flag"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"pitboss/features/tiles"
)

var rewrite = flag.Bool("rewrite", false, "write what the tests got as what they want")

// TestScripts runs testdata/script/*.txt: the semantics of windows as text. Lines that begin with ">" are what the line
// before them gives; -rewrite writes them anew.
//
//	spec windows=1m,24h sums=stake squares=stake lows=stake highs=stake distincts=game last raw=2
//	                        what the group keeps: windows, names of values that are summed, of sums whose squares are, of
//	                        values whose smallest or largest is known, and of counted categories; exact=3 for exact windows
//	                        of up to three events
//	spec windows=7d hours   the hours of its days are told apart
//	spec windows=24h table=4 shift=7d half=6h
//	                        a table of so many slots, the windows shifted as well, decayed counts with this half-life
//	add b1 02T12:00:00.5 stake=100 game=slots
//	                        an event of the group by a name, on the second of January 2026
//	void b1                 it is taken back
//	addvoid b1 02T12:00:00 stake=100
//	                        an event that was taken back before it came
//	miss 02T11:00:00        an event of about this time was taken back, and nobody knows it
//	fill 300 02T12:00:00 1s game
//	                        so many events, a step apart, each with a category of its own (without the last word: with none)
//	entity 02T12:30:00      the entity had an event of another group
//	compact                 merge what may be merged; never changes what a read gives
//	recode                  write the state and read it back; the same
//	read 02T12:00:01        evaluate all windows
//	read 02T12:00:01 with b2 02T12:00:01 stake=5
//	                        the same with an event that is not added
//	read 02T12:00:01 without b1
//	                        the same without an event that is inside
//	describe                what each window covers
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/script/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := &script{}
	var out strings.Builder
	for i, line := range strings.Split(strings.TrimRight(string(data), "\n"), "\n") {
		if strings.HasPrefix(line, ">") {
			continue
		}
		out.WriteString(line + "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		answer, err := s.run(strings.Fields(line))
		if err != nil {
			t.Fatalf("%s:%d: %s: %v", file, i+1, line, err)
		}
		for _, a := range answer {
			out.WriteString(strings.TrimRight("> "+a, " ") + "\n")
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(data), out.String()); diff != "" {
		t.Errorf("%s (-file +got):\n%s", file, diff)
	}
}

// script is the state of a running script.
type script struct {
	layout  *tiles.Layout
	state   tiles.State
	newest  int64
	named   map[string]tiles.Contribution
	sums    []string
	values  []string // the sums, then those of lows and highs
	cats    []string
	half    time.Duration
	reading tiles.Reading
}

func (s *script) run(words []string) ([]string, error) {
	if words[0] != "spec" && s.layout == nil {
		return nil, fmt.Errorf("a script begins with spec")
	}
	switch args := words[1:]; words[0] {
	case "spec":
		return nil, s.spec(args)
	case "add":
		return s.add(args)
	case "void":
		c := s.named[args[0]]
		s.state.Void(s.layout, &c, s.newest-graceMicros)
		return nil, nil
	case "addvoid":
		c, err := s.event(args)
		s.newest = max(s.newest, c.At)
		s.state.AddVoid(s.layout, &c, s.newest-graceMicros)
		return nil, err
	case "miss":
		at, err := parseTime(args[0])
		s.state.Miss(at, s.newest-graceMicros)
		return nil, err
	case "fill":
		return nil, s.fill(args)
	case "entity":
		at, err := parseTime(args[0])
		s.newest = max(s.newest, at)
		return nil, err
	case "compact":
		s.state.Compact(s.layout, s.newest-graceMicros)
		return nil, nil
	case "recode":
		data := s.state.AppendBinary(s.layout, nil)
		return nil, s.state.DecodeBinary(s.layout, data)
	case "read":
		return s.read(args)
	case "describe":
		return s.describe(), nil
	}
	return nil, fmt.Errorf("unknown command")
}

func (s *script) spec(args []string) error {
	*s = script{named: map[string]tiles.Contribution{}}
	spec := tiles.Spec{}
	for _, arg := range args {
		key, value, _ := strings.Cut(arg, "=")
		switch key {
		case "windows":
			for name := range strings.SplitSeq(value, ",") {
				w, err := tiles.ParseWindow(name)
				if err != nil {
					return err
				}
				spec.Windows |= tiles.Windows(w)
			}
		case "sums":
			s.sums = strings.Split(value, ",")
			s.values = slices.Clone(s.sums)
		case "squares", "lows", "highs":
			if err := s.valueSpec(&spec, key, strings.Split(value, ",")); err != nil {
				return err
			}
		case "distincts":
			s.cats = strings.Split(value, ",")
		case "table":
			slots, err := strconv.Atoi(value)
			if err != nil {
				return err
			}
			spec.Counts = append(spec.Counts, slots)
		case "shift":
			days, err := strconv.Atoi(strings.TrimSuffix(value, "d"))
			if err != nil {
				return err
			}
			for _, w := range spec.Windows.List() {
				spec.Shifts = append(spec.Shifts, tiles.Span{Window: w, Shift: time.Duration(days) * 24 * time.Hour})
			}
		case "half":
			half, err := time.ParseDuration(value)
			if err != nil {
				return err
			}
			s.half = half
		case "hours":
			spec.Hours = spec.Windows
		case "last":
			spec.Last = true
		case "raw":
			spec.Raw, _ = strconv.Atoi(value)
		case "exact":
			spec.Exact = true
			spec.Recent, _ = strconv.Atoi(value)
		default:
			return fmt.Errorf("unknown %q", key)
		}
	}
	if len(spec.Counts) > 0 {
		spec.CountWindows = spec.Windows
	}
	spec.Sums, spec.Values, spec.Distincts = len(s.sums), len(s.values), len(s.cats)
	layout, err := tiles.NewLayout(spec)
	s.layout = layout
	return err
}

// valueSpec names values by what is kept of them.
func (s *script) valueSpec(spec *tiles.Spec, key string, names []string) error {
	for _, name := range names {
		at := slices.Index(s.sums, name)
		if key == "squares" {
			if at < 0 {
				return fmt.Errorf("squares of %q, which is not summed", name)
			}
			spec.Squares |= 1 << at
			continue
		}
		if at = slices.Index(s.values[len(s.sums):], name); at < 0 {
			at = len(s.values) - len(s.sums)
			s.values = append(s.values, name)
		}
		bit := tiles.ValueSet(1) << (len(s.sums) + at)
		spec.RawValues |= bit
		if key == "lows" {
			spec.Lows |= bit
		} else {
			spec.Highs |= bit
		}
	}
	return nil
}

// event reads: name time key=value ...
func (s *script) event(args []string) (tiles.Contribution, error) {
	at, err := parseTime(args[1])
	if err != nil {
		return tiles.Contribution{}, err
	}
	c := tiles.Contribution{
		At: at, ID: uint32(len(s.named) + 1), Values: make([]int64, len(s.values)), Categories: make([]uint64, len(s.cats)),
	}
	for i := len(s.sums); i < len(c.Values); i++ {
		c.Values[i] = tiles.NoValue
	}
	for range s.layout.Spec().Counts {
		c.Slots = append(c.Slots, tiles.NoSlot)
	}
	for _, arg := range args[2:] {
		key, value, _ := strings.Cut(arg, "=")
		known := key == "slot"
		if known {
			var slot int64
			if slot, err = strconv.ParseInt(value, 10, 32); err != nil {
				return c, err
			}
			c.Slots[0] = int32(slot)
		}
		for i, name := range s.values {
			if name == key {
				known = true
				if c.Values[i], err = strconv.ParseInt(value, 10, 64); err != nil {
					return c, err
				}
			}
		}
		for i, name := range s.cats {
			if name == key {
				known = true
				c.Categories[i] = hashOf(value)
			}
		}
		if !known {
			return c, fmt.Errorf("unknown column %q", key)
		}
	}
	s.named[args[0]] = c
	return c, nil
}

func (s *script) add(args []string) ([]string, error) {
	c, err := s.event(args)
	if err != nil {
		return nil, err
	}
	switch s.put(&c) {
	case tiles.Placed:
	case tiles.TooOld:
		return []string{"too old"}, nil
	case tiles.OutOfRange:
		return []string{"out of range"}, nil
	}
	return nil, nil
}

func (s *script) put(c *tiles.Contribution) tiles.Placement {
	s.newest = max(s.newest, c.At)
	return s.state.Add(s.layout, c, s.newest-graceMicros)
}

func (s *script) fill(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	at, err := parseTime(args[1])
	if err != nil {
		return err
	}
	step, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	for i := range n {
		name := fmt.Sprintf("fill%d", i)
		words := []string{name, formatTime(at + int64(i)*step.Microseconds())}
		if len(args) > 3 {
			words = append(words, args[3]+"="+name)
		}
		c, err := s.event(words)
		if err != nil {
			return err
		}
		s.put(&c)
	}
	return nil
}

func (s *script) read(args []string) ([]string, error) {
	at, err := parseTime(args[0])
	if err != nil {
		return nil, err
	}
	var plus, minus *tiles.Contribution
	if len(args) > 1 {
		var c tiles.Contribution
		switch args[1] {
		case "with":
			if c, err = s.event(args[2:]); err != nil {
				return nil, err
			}
			plus = &c
		case "without":
			c = s.named[args[2]]
			minus = &c
		default:
			return nil, fmt.Errorf("unknown %q", args[1])
		}
	}
	s.state.Read(s.layout, at, s.newest-graceMicros, plus, minus, &s.reading)
	return s.lines(), nil
}

func (s *script) lines() []string {
	r, spec := &s.reading, s.layout.Spec()
	var lines []string
	if r.Flags&tiles.Late != 0 {
		lines = append(lines, "late")
	}
	for _, w := range spec.Windows.List() {
		line := fmt.Sprintf("%-3s count %d", w, r.Count(w))
		if r.Exact(w) {
			line = fmt.Sprintf("%-3s exact: count %d", w, r.Count(w))
		}
		for i, name := range s.sums {
			line += fmt.Sprintf(", %s %s", name, bigOf(r.Sum(w, i)))
		}
		if len(spec.Counts) > 0 {
			line += tableText(r, tiles.Span{Window: w})
		}
		if spec.Hours.Has(w) {
			line += fmt.Sprintf(", %d hours in the fullest day", r.ActiveHours(w))
			if quiet, ok := r.QuietHours(w); ok {
				line += fmt.Sprintf(", at least %d of rest", quiet)
			}
		}
		if s.half > 0 {
			line += fmt.Sprintf(", decayed %.3f", r.Decayed(w, -1, s.half))
		}
		line += flagText(r.WindowFlags(w))
		for i, name := range s.sums {
			if spec.Squares.Has(i) {
				line += fmt.Sprintf(", %s squared %s", name, bigOf(r.Squares(w, i)))
			}
		}
		for i, name := range s.values {
			if spec.Lows.Has(i) {
				line += fmt.Sprintf(", lowest %s %s", name, valueText(r.Low(w, i)))
			}
			if spec.Highs.Has(i) {
				line += fmt.Sprintf(", highest %s %s", name, valueText(r.High(w, i)))
			}
		}
		for i, name := range s.cats {
			n, flags := r.Distinct(w, i)
			line += fmt.Sprintf(", %ss %d%s", name, n, flagText(flags))
		}
		lines = append(lines, line)
	}
	for _, span := range spec.Shifts {
		line := fmt.Sprintf("%s before %s: count %d", span.Window, span.Shift, r.CountIn(span))
		for i, name := range s.sums {
			line += fmt.Sprintf(", %s %s", name, bigOf(r.SumIn(span, i)))
		}
		if len(spec.Counts) > 0 {
			line += tableText(r, span)
		}
		lines = append(lines, line+flagText(r.SpanFlags(span)))
	}
	if spec.Last {
		last, lastFlags := r.Last()
		first, firstFlags := r.First()
		lines = append(lines, fmt.Sprintf("first %s%s, last %s%s",
			formatTime(first), flagText(firstFlags), formatTime(last), flagText(lastFlags)))
	}
	return lines
}

// tableText says what the first table has of a span.
func tableText(r *tiles.Reading, span tiles.Span) string {
	top, all := r.Top(span, 0)
	return fmt.Sprintf(", top %d of %d, entropy %.3f, median slot %d", top, all, r.Entropy(span, 0), r.Quantile(span, 0, 500_000))
}

func (s *script) describe() []string {
	var lines []string
	for _, w := range s.layout.Spec().Windows.List() {
		lines = append(lines, tiles.Span{Window: w}.String())
	}
	for _, span := range s.layout.Spec().Shifts {
		lines = append(lines, span.String())
	}
	return lines
}

func valueText(v int64, f tiles.Flags) string {
	if v == tiles.NoValue {
		return "none" + flagText(f)
	}
	return strconv.FormatInt(v, 10) + flagText(f)
}

func flagText(f tiles.Flags) string {
	text := ""
	if f&tiles.Capped != 0 {
		text += " (capped)"
	}
	if f&tiles.CorrectionMissed != 0 {
		text += " (correction missed)"
	}
	return text
}

func hashOf(text string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(text))
	return h.Sum64()
}

// Times are written as the day of January 2026, which may be beyond its end, and the time of day.
var january = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func parseTime(text string) (int64, error) {
	day, clock, ok := strings.Cut(text, "T")
	d, err := strconv.Atoi(day)
	if !ok || err != nil {
		return 0, fmt.Errorf("time %q is not like 02T12:00:00.5", text)
	}
	of, err := time.Parse("15:04:05.999999", clock)
	if err != nil {
		return 0, err
	}
	midnight := time.Date(of.Year(), of.Month(), of.Day(), 0, 0, 0, 0, time.UTC)
	return january.AddDate(0, 0, d-1).Add(of.Sub(midnight)).UnixMicro(), nil
}

func formatTime(at int64) string {
	if at == tiles.NoTime {
		return "never"
	}
	t := time.UnixMicro(at).UTC()
	day := int(t.Sub(january)/(24*time.Hour)) + 1
	return fmt.Sprintf("%02dT%s", day, t.Format("15:04:05.999999"))
}
