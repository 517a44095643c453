package timeline

import (
	"cmp"
	"maps"
	"slices"
	"time"

	pb "pitboss/proto/pitboss/v1"
)

// maxMinutes bounds what is kept of a producer's clock: the newest minutes that had events, up to a day of them.
const maxMinutes = 24 * 60

// clock compares a producer's clock with ours: received_at - occurred_at, of which the smallest of each minute has the
// least delay on the way in it. The rest is the way's shortest time and the difference of the clocks, which one
// measurement from one side cannot tell apart; how it changes is the clocks' alone.
type clock struct {
	// minutes has the smallest difference of each minute of received_at, in microseconds.
	minutes map[int64]int64
	// ntp is what the producer says of its clock where that is worst, in microseconds, and by what reference.
	ntp       int64
	reference string
	known     bool
}

// add takes an event in, and says how many minutes that made more.
func (c *clock) add(ev *pb.Event) int {
	before := len(c.minutes)
	received := ev.GetReceivedAt().AsTime()
	late := received.Sub(ev.GetOccurredAt().AsTime()).Microseconds()
	minute := received.Unix() / 60
	if least, ok := c.minutes[minute]; !ok || late < least {
		c.minutes[minute] = late
	}
	if len(c.minutes) > maxMinutes {
		// A minute that leaves has enough newer ones, and more can only come: it would leave in any order.
		delete(c.minutes, slices.Min(slices.Collect(maps.Keys(c.minutes))))
	}
	if q := ev.GetClockQuality(); q != nil {
		worse := cmp.Or(cmp.Compare(abs(q.GetNtpOffsetUs()), abs(c.ntp)), cmp.Compare(q.GetNtpOffsetUs(), c.ntp),
			cmp.Compare(q.GetSource(), c.reference))
		if !c.known || worse > 0 {
			c.ntp, c.reference, c.known = q.GetNtpOffsetUs(), q.GetSource(), true
		}
	}
	return len(c.minutes) - before
}

func abs(n int64) int64 { return max(n, -n) }

// Clock is a producer's clock against ours.
type Clock struct {
	// OffsetUS is received_at - occurred_at at the newest minute, by the line through the smallest of each minute: ours
	// minus theirs, and the shortest way between. Below 0 the producer's clock is ahead.
	OffsetUS int64 `json:"offset_us"`
	// SlopePPM is how that changes, in microseconds a second; absent where less than ten minutes are known, or events in less than five of them.
	SlopePPM *float64 `json:"slope_ppm,omitempty"`
	// Minutes is how many minutes with events the line goes through.
	Minutes int `json:"minutes"`
	// NTPOffsetUS is the worst that the producer said of its own clock, and Reference what it compares it with; absent
	// where it said nothing.
	NTPOffsetUS *int64 `json:"ntp_offset_us,omitempty"`
	Reference   string `json:"reference,omitempty"`
}

// minSpan is the shortest time that a slope is told from.
const minSpan = 10 * time.Minute

// fewest is how many minutes with events a slope needs.
const fewest = 5

// read fits a line by least squares (x in minutes before the newest, y in microseconds).
func (c *clock) read() Clock {
	keys := slices.Sorted(maps.Keys(c.minutes))
	newest := keys[len(keys)-1]
	out := Clock{OffsetUS: c.minutes[newest], Minutes: len(keys)}
	if c.known {
		out.NTPOffsetUS, out.Reference = &c.ntp, c.reference
	}
	if time.Duration(newest-keys[0])*time.Minute < minSpan || len(keys) < fewest {
		for _, k := range keys {
			out.OffsetUS = min(out.OffsetUS, c.minutes[k])
		}
		return out
	}
	// The first and the last minute are rarely whole, and the smallest of a few is no smallest.
	keys = keys[1 : len(keys)-1]
	var n, sx, sy, sxx, sxy float64
	for _, k := range keys {
		x, y := float64(k-newest), float64(c.minutes[k])
		n++
		sx += x
		sy += y
		sxx += float64(x * x)
		sxy += float64(x * y)
	}
	slope := (float64(n*sxy) - float64(sx*sy)) / (float64(n*sxx) - float64(sx*sx))
	out.OffsetUS = int64((sy - float64(slope*sx)) / n)
	ppm := slope / 60
	out.SlopePPM = &ppm
	return out
}
