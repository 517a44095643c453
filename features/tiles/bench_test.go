package tiles_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pitboss/features/tiles"
)

// slotPlayer simulates the bets of a busy player who plays slots on most days of a month, three times a day for about 150
// spins, one per three seconds. It gives about as many tiles (135) as the ladder was measured with when it was designed.
func slotPlayer(seed uint64, days int) []tiles.Contribution {
	rng := rand.New(rand.NewPCG(seed, 1))
	const start = 1_767_225_600_000_000
	var set []tiles.Contribution
	for session := range 3 * days {
		if rng.IntN(10) < 3 && session < 3*days-4 {
			continue
		}
		at := start + int64(session)*8*3600e6 + int64(4*rng.Float64()*3600e6)
		for range 50 + rng.IntN(200) {
			at += 2_000_000 + rng.Int64N(2_000_000)
			stake := int64(20 << rng.IntN(5))
			win := int64(0)
			if rng.IntN(4) == 0 {
				win = stake * int64(rng.IntN(8))
			}
			set = append(set, tiles.Contribution{
				At: at, ID: rng.Uint32(), Values: []int64{stake, win, 1},
				Categories: []uint64{(1 + uint64(rng.IntN(12))) * 0x9e3779b97f4a7c15, 0xabcdef},
				Slots:      []int32{int32(rng.IntN(5) * rng.IntN(4))},
			})
		}
	}
	return set
}

func mustLayout(tb testing.TB, spec tiles.Spec) *tiles.Layout {
	tb.Helper()
	l, err := tiles.NewLayout(spec)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// The specs that are measured. playing is the group of a busy player with several columns.
func specs() map[string]tiles.Spec {
	all := tiles.Windows(tiles.AllWindows()...)
	return map[string]tiles.Spec{
		"sum":         {Windows: all, Sums: 1},
		"playing":     {Windows: all, Sums: 2, Distincts: 1, Last: true},
		"every":       {Windows: all, Values: 3, Sums: 2, Squares: 3, RawValues: 4, Lows: 4, Highs: 4, Counts: []int{16}, Larges: 1, CountWindows: all, Hours: tiles.Windows(tiles.W7d, tiles.W30d)},
		"hours":       {Windows: tiles.Windows(tiles.W30d), Hours: tiles.Windows(tiles.W30d)},
		"hub":         {Windows: all, Sums: 1, Distincts: 1, Last: true},
		"exact":       {Windows: all, Sums: 2, Distincts: 1, Last: true, Recent: tiles.MaxRaw, Exact: true},
		"exact_table": {Windows: all, Sums: 2, Counts: []int{16}, CountWindows: all, Recent: tiles.MaxRaw, Exact: true},
		"1m_count":    {Windows: tiles.Windows(tiles.W1m)},
	}
}

func played(l *tiles.Layout, set []tiles.Contribution) (*tiles.State, int64) {
	s := &tiles.State{}
	newest := int64(0)
	for i := range set {
		newest = max(newest, set[i].At)
		s.Add(l, &set[i], newest-graceMicros)
	}
	return s, newest
}

// events are what a spec is measured with: a player's, or for a hub those of a day on an entity that hundreds share.
func events(name string) []tiles.Contribution {
	if name != "hub" {
		return slotPlayer(1, 30)
	}
	rng := rand.New(rand.NewPCG(3, 3))
	var set []tiles.Contribution
	for at := int64(1_767_225_600_000_000); at < 1_767_225_600_000_000+86400e6; at += 100_000 + rng.Int64N(4_000_000) {
		set = append(set, tiles.Contribution{
			At: at, ID: rng.Uint32(), Values: []int64{1}, Categories: []uint64{(1 + rng.Uint64N(400)) * 0x9e3779b97f4a7c15},
		})
	}
	return set
}

func BenchmarkRead(b *testing.B) {
	for name, spec := range specs() {
		b.Run(name, func(b *testing.B) {
			l := mustLayout(b, spec)
			set := events(name)
			s, newest := played(l, set)
			s.Compact(l, newest-graceMicros)
			plus := set[len(set)-1]
			plus.At += 3_000_000
			var r tiles.Reading
			b.ReportAllocs()
			for b.Loop() {
				s.Read(l, plus.At, newest-graceMicros, &plus, nil, &r)
			}
			b.ReportMetric(float64(s.Tiles(l)), "tiles")
		})
		b.Run(name+"/late", func(b *testing.B) {
			l := mustLayout(b, spec)
			set := events(name)
			s, newest := played(l, set)
			s.Compact(l, newest-graceMicros)
			plus := set[len(set)-1]
			plus.At -= 2 * graceMicros
			var r tiles.Reading
			b.ReportAllocs()
			for b.Loop() {
				s.Read(l, plus.At, newest-graceMicros, &plus, nil, &r)
			}
		})
	}
}

// BenchmarkLazy is what each aggregate costs that is worked out when asked, over 24 hours (and by turns seven days) of a busy player.
func BenchmarkLazy(b *testing.B) {
	l := mustLayout(b, specs()["every"])
	set := slotPlayer(1, 30)
	s, newest := played(l, set)
	s.Compact(l, newest-graceMicros)
	plus := set[len(set)-1]
	plus.At += 3_000_000
	var r tiles.Reading
	s.Read(l, plus.At, newest-graceMicros, &plus, nil, &r)
	var slots tiles.Slots
	spans, turn := []tiles.Span{{Window: tiles.W24h}, {Window: tiles.W7d}}, 0
	next := func() tiles.Span { turn++; return spans[turn%2] } // what was counted last is remembered
	for name, read := range map[string]func(){
		"high":     func() { r.High(tiles.W24h, 2) },
		"top":      func() { r.Top(next(), 0) },
		"entropy":  func() { r.Entropy(next(), 0) },
		"quantile": func() { r.Quantile(next(), 0, 950_000) },
		"large":    func() { r.Large(tiles.W24h, 0) },
		"slots":    func() { r.Slots(tiles.W24h, &slots) },
		"active":   func() { r.ActiveHours(tiles.W30d) },
		"quiet":    func() { r.QuietHours(tiles.W30d) },
		"decayed":  func() { r.Decayed(tiles.W24h, 0, 3*time.Hour) },
		"spread":   func() { tiles.Dispersion(r.Count(tiles.W24h), r.Sum(tiles.W24h, 0), r.Squares(tiles.W24h, 0)) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				read()
			}
		})
	}
}

// BenchmarkExactTables is what a quantile and a decayed sum cost of 256 events as they came, in many buckets or few.
func BenchmarkExactTables(b *testing.B) {
	for _, buckets := range []int{16, 600} {
		all := tiles.Windows(tiles.AllWindows()...)
		l := mustLayout(b, tiles.Spec{Windows: all, Sums: 1, Counts: []int{buckets, 2}, CountWindows: all, Recent: tiles.MaxRaw, Exact: true})
		set := slotPlayer(1, 30)[:tiles.MaxRaw]
		rng := rand.New(rand.NewPCG(4, 4))
		for i := range set {
			set[i].Values, set[i].Slots = set[i].Values[:1], []int32{int32(rng.IntN(buckets)), 1}
		}
		s, newest := played(l, set)
		var r tiles.Reading
		s.Read(l, newest, newest-graceMicros, nil, nil, &r)
		turn := 0
		b.Run(fmt.Sprintf("quantile_%d", buckets), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				turn++ // what was counted last is remembered
				r.Quantile(tiles.Span{Window: tiles.W30d}, turn%2, 950_000)
			}
		})
		b.Run(fmt.Sprintf("decayed_%d", buckets), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r.Decayed(tiles.W30d, 0, 3*24*time.Hour)
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	for name, spec := range specs() {
		b.Run(name, func(b *testing.B) {
			l := mustLayout(b, spec)
			set := events(name)
			b.ReportAllocs()
			s := &tiles.State{}
			for i := 0; b.Loop(); i++ {
				if i == len(set) {
					i, s = 0, &tiles.State{}
				}
				s.Add(l, &set[i], set[i].At-graceMicros)
			}
		})
	}
}

func BenchmarkCodec(b *testing.B) {
	for name, spec := range specs() {
		l := mustLayout(b, spec)
		s, newest := played(l, events(name))
		s.Compact(l, newest-graceMicros)
		data := s.AppendBinary(l, nil)
		b.Run(name+"/append", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				data = s.AppendBinary(l, data[:0])
			}
			b.ReportMetric(float64(len(data)), "B/state")
		})
		b.Run(name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			var back tiles.State
			for b.Loop() {
				if err := back.DecodeBinary(l, data); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/compact", func(b *testing.B) {
			for b.Loop() {
				s.Compact(l, newest-graceMicros)
			}
		})
	}
}

// BenchmarkSize is no timing: it prints how large the states of 500 simulated slot players are, in the middle of a
// session and two days after.
func BenchmarkSize(b *testing.B) {
	for name, spec := range specs() {
		if name == "hub" {
			continue
		}
		for _, idle := range []time.Duration{0, 48 * time.Hour} {
			b.Run(fmt.Sprintf("%s/idle_%s", name, idle), func(b *testing.B) {
				l := mustLayout(b, spec)
				var disk, ram, count []int
				for seed := range uint64(500) {
					set := slotPlayer(seed, 3+int(seed%40))
					s, newest := played(l, set[:len(set)-20])
					s.Compact(l, newest+idle.Microseconds()-graceMicros)
					disk = append(disk, len(s.AppendBinary(l, nil)))
					ram = append(ram, s.MemBytes())
					count = append(count, s.Tiles(l))
				}
				for b.Loop() {
				}
				slices.Sort(disk)
				slices.Sort(ram)
				slices.Sort(count)
				b.ReportMetric(float64(count[250]), "p50-tiles")
				b.ReportMetric(float64(disk[250]), "p50-disk-B")
				b.ReportMetric(float64(disk[494]), "p99-disk-B")
				b.ReportMetric(float64(ram[250]), "p50-RAM-B")
				b.ReportMetric(float64(ram[494]), "p99-RAM-B")
			})
		}
	}
}
