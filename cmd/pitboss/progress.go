package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
)

// progressUnit says what a progress bar counts.
type progressUnit int

const (
	unitBytes progressUnit = iota
	unitRows
	unitFrames
	unitSimTime // milliseconds of simulated time
)

// progress shows how far a long job is, how fast and for how long still. Where standard error is no terminal it prints a
// line every ten seconds instead.
type progress struct {
	bar    *progressbar.ProgressBar
	out    io.Writer
	what   string
	total  int64
	began  time.Time
	shown  time.Time
	done   int64
	events uint64
}

const progressEvery = 10 * time.Second

func newProgress(out io.Writer, what string, total int64, unit progressUnit) *progress {
	p := &progress{out: out, what: what, total: total, began: time.Now(), shown: time.Now()}
	if f, ok := out.(*os.File); ok && isTerminal(f) && total > 0 {
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(out), progressbar.OptionSetDescription(what), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionShowBytes(unit == unitBytes), progressbar.OptionSetPredictTime(true), progressbar.OptionFullWidth(),
			progressbar.OptionClearOnFinish())
	}
	return p
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// set says how far the job is and how many events that were.
func (p *progress) set(done int64, events uint64) {
	p.done, p.events = done, events
	if events%256 == 0 {
		p.show()
	}
}

// step is set for a job that reports seldom enough by itself.
func (p *progress) step(done int64, events uint64) {
	p.done, p.events = done, events
	p.show()
}

func (p *progress) show() {
	now := time.Now()
	if p.bar != nil {
		p.bar.Describe(fmt.Sprintf("%s: %d events, %.0f/s", p.what, p.events, p.rate(now)))
		_ = p.bar.Set64(min(p.done, p.total)) // a bar that cannot be drawn is no reason to stop
		return
	}
	if now.Sub(p.shown) >= progressEvery {
		p.shown = now
		p.line(now)
	}
}

func (p *progress) rate(now time.Time) float64 {
	return float64(p.events) / max(now.Sub(p.began).Seconds(), 1e-3)
}

func (p *progress) line(now time.Time) {
	if p.total <= 0 || p.done <= 0 {
		fmt.Fprintf(p.out, "%s: %d events, %.0f/s\n", p.what, p.events, p.rate(now))
		return
	}
	share := float64(p.done) / float64(p.total)
	left := time.Duration(float64(now.Sub(p.began)) * (1 - share) / share).Round(time.Second)
	fmt.Fprintf(p.out, "%s: %.0f %%, %d events, %.0f/s, about %v left\n", p.what, 100*share, p.events, p.rate(now), max(left, 0))
}

// finish takes the bar away and leaves one line.
func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
	}
	now := time.Now()
	fmt.Fprintf(p.out, "%s: %d events in %v, %.0f/s\n", p.what, p.events, now.Sub(p.began).Round(time.Millisecond), p.rate(now))
}
