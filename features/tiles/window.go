package tiles

import (
	"fmt"
	"math/bits"
	"strings"
	"time"
)

// Window is one rung of the ladder. The numbers are on disk: never change one, only add.
type Window uint8

// The windows. Each hop divides the next one, so that a tile of a finer rung is never cut by the edge of a coarser one.
const (
	W1m Window = iota
	W5m
	W1h
	W24h
	W7d
	W30d
	windowCount
)

// Grace is how far behind an entity's newest event an evaluation time may lie and still be exact. Compaction lags by
// it: the horizon that the owner passes is the newest event's time less Grace.
const Grace = time.Minute

// Resolution is the finest time that a window tells apart: everything in the second of the evaluation time counts.
const Resolution = time.Second

const graceSeconds = int64(Grace / time.Second)

// rung is a window's length and hop in seconds.
type rung struct {
	name   string
	length int64
	hop    int64
}

func (w Window) rung() rung {
	return [windowCount]rung{
		{"1m", 60, 1},
		{"5m", 300, 5},
		{"1h", 3600, 60},
		{"24h", 86400, 1800},
		{"7d", 7 * 86400, 4 * 3600},
		{"30d", 30 * 86400, 12 * 3600},
	}[w]
}

// String gives the window as feature sets write it: 1m, 5m, 1h, 24h, 7d, 30d.
func (w Window) String() string {
	if w >= windowCount {
		return fmt.Sprintf("window(%d)", uint8(w))
	}
	return w.rung().name
}

// Length is what the window is called after.
func (w Window) Length() time.Duration { return time.Duration(w.rung().length) * time.Second }

// Hop is the step in which the window's old edge moves.
func (w Window) Hop() time.Duration { return time.Duration(w.rung().hop) * time.Second }

// AllWindows gives the ladder, shortest first.
func AllWindows() []Window { return []Window{W1m, W5m, W1h, W24h, W7d, W30d} }

// ParseWindow reads a window as feature sets write it; 1d is 24h.
func ParseWindow(text string) (Window, error) {
	if text == "1d" {
		return W24h, nil
	}
	names := make([]string, 0, windowCount)
	for _, w := range AllWindows() {
		if w.String() == text {
			return w, nil
		}
		names = append(names, w.String())
	}
	return 0, fmt.Errorf("unknown window %q: the windows are %s", text, strings.Join(names, ", "))
}

// WindowSet is a set of windows, one bit each by number.
type WindowSet uint8

// Windows makes a set.
func Windows(ws ...Window) WindowSet {
	var s WindowSet
	for _, w := range ws {
		s |= 1 << w
	}
	return s
}

// Has says whether w is in the set.
func (s WindowSet) Has(w Window) bool { return s>>w&1 != 0 }

// Len is how many windows the set has.
func (s WindowSet) Len() int { return bits.OnesCount8(uint8(s)) }

// List gives the set's windows, shortest first.
func (s WindowSet) List() []Window {
	ws := make([]Window, 0, s.Len())
	for _, w := range AllWindows() {
		if s.Has(w) {
			ws = append(ws, w)
		}
	}
	return ws
}

// Contract says what a window really covers: for `features describe`. At the evaluation time t it is
// [floor((t-Length)/Hop)*Hop, end of t's second), in event time, aligned to the epoch.
type Contract struct {
	Window Window
	// Length is what the window is called after, and Hop the step of its old edge.
	Length, Hop time.Duration
	// SpanMin and SpanMax bound the length of what is really covered, by where t lies between two steps.
	SpanMin, SpanMax time.Duration
	// EdgeError bounds how much older than t-Length an event can be and still count: by less than this. None of
	// (t-Length, t] is ever left out.
	EdgeError time.Duration
	// HeadError bounds how much newer than t an event can be and still count: it is in t's second.
	HeadError time.Duration
	// Recent is how many events newer than t-Length a group in exact mode may have for the window to be (t-Length, t] to
	// the microsecond, without either error. 0 where it is not in exact mode.
	Recent int
}

// Contract gives what w covers.
func (w Window) Contract() Contract {
	return Contract{
		Window: w, Length: w.Length(), Hop: w.Hop(),
		SpanMin: w.Length() + Resolution, SpanMax: w.Length() + w.Hop(),
		EdgeError: w.Hop(), HeadError: Resolution,
	}
}

// String gives the contract as one sentence.
func (c Contract) String() string {
	exact := ""
	if c.Recent > 0 {
		exact = fmt.Sprintf("%s: (t-%s, t] while no more than %d events are newer than t-%s, with more ", c.Window, c.Window, c.Recent, c.Window)
	}
	return exact + fmt.Sprintf("%s: from t-%s, rounded down to a multiple of %s, to the end of t's second; spans %s to %s",
		c.Window, c.Window, DurationText(c.Hop), DurationText(c.SpanMin), DurationText(c.SpanMax))
}

// DurationText writes a duration without its zero parts, and in days from two days on: 24h30m, 7d4h.
func DurationText(d time.Duration) string {
	days := ""
	if d >= 48*time.Hour {
		days = fmt.Sprintf("%dd", d/(24*time.Hour))
		d %= 24 * time.Hour
	}
	s := days + d.String()
	for _, zero := range []string{"m0s", "h0m", "d0s"} {
		if strings.HasSuffix(s, zero) {
			s = s[:len(s)-2]
		}
	}
	return s
}
