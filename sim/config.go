package sim

import (
	"fmt"
	"math"
	"time"
)

// Range is a closed interval that each agent draws its own value from, evenly.
type Range struct {
	Min, Max float64
}

// Fraud says how much of one fraud there is and how well it hides.
type Fraud struct {
	// Share of all accounts, 0 to 1. Where it is above 0 there is at least one agent (for rings: one ring).
	Share float64
	// Mimicry of the agents, 0 (crude) to 1 (as close to honest as the fraud's aim allows). A ring has one value.
	Mimicry Range
}

// Mix is who plays: the frauds, and the honest players that look like them. Everyone else is an ordinary player.
type Mix struct {
	// Bots are metronome bots.
	Bots Fraud
	// Rings are bonus rings. Share counts accounts, not rings.
	Rings Fraud
	// Autoplay is the share of honest players who let the machine press the button, as regularly as a bot.
	Autoplay float64
	// Households is the share of honest players who share an address, sometimes a device or a card, with one to three
	// others.
	Households float64
	// Hunters is the share of honest players who take every bonus and play it out within the rules.
	Hunters float64
	// Mobile is the share of all players, fraudulent or not, behind a carrier's shared addresses.
	Mobile float64
}

// Labels say what becomes known of the truth, and when. The truth itself never enters the events.
type Labels struct {
	// Delay is the median time from an act to its label; lognormal with sigma .7. Default 10 days.
	Delay time.Duration
	// Missing is the share of fraudulent acts that never get a label. Default .15.
	Missing float64
	// Wrong is the share of labels that say the opposite of the truth. Default .02.
	Wrong float64
	// Reviewed is the share of honest acts that somebody looked at, and labelled. Default .02.
	Reviewed float64
}

// Config is a casino to simulate. The same Config gives the same bytes on any machine.
type Config struct {
	// Seed decides everything that chance decides.
	Seed uint64
	// Players is the number of accounts, honest and fraudulent: 20 to 10,000,000. Default 2,000.
	Players int
	// Start is the time of the first moment; cut to the microsecond. Default 2026-01-05, a Monday, 00:00 UTC.
	Start time.Time
	// Duration is how long the casino is watched: a second to ten years, or 0 for without end. Default 7 days.
	Duration time.Duration
	// Activity multiplies the share of days on which a player plays. Default 1, the published figures; more makes a
	// small casino busy.
	Activity float64
	// Tenant and the two brands' operator. Default "demo".
	Tenant string
	// NewShare is the share of honest accounts that are opened while we watch. Default .2.
	NewShare float64
	// Rollbacks is the share of bets taken back. Default .002.
	Rollbacks float64
	// Mix is who plays.
	Mix Mix
	// Labels say what becomes known.
	Labels Labels
}

// DefaultConfig gives the published figures of a casino with 2 % of fraudulent accounts, as far as its two frauds make
// them up, watched for a week.
func DefaultConfig() Config {
	return Config{
		Seed:      1,
		Players:   2000,
		Start:     time.Date(2026, time.January, 5, 0, 0, 0, 0, time.UTC),
		Duration:  7 * 24 * time.Hour,
		Activity:  1,
		Tenant:    "demo",
		NewShare:  0.2,
		Rollbacks: 0.002,
		Mix: Mix{
			Bots:       Fraud{Share: 0.0016, Mimicry: Range{0, 1}},
			Rings:      Fraud{Share: 0.011, Mimicry: Range{0, 1}},
			Autoplay:   0.08,
			Households: 0.03,
			Hunters:    0.01,
			Mobile:     0.4,
		},
		Labels: Labels{Delay: 10 * 24 * time.Hour, Missing: 0.15, Wrong: 0.02, Reviewed: 0.02},
	}
}

const (
	minPlayers  = 20
	maxPlayers  = 10_000_000
	maxDuration = 10 * 366 * 24 * time.Hour
	maxActivity = 1000
)

// Validate says which parameter is impossible, by its name.
func (c Config) Validate() error {
	switch {
	case c.Players < minPlayers || c.Players > maxPlayers:
		return fmt.Errorf("players is %d: must be %d to %d", c.Players, minPlayers, maxPlayers)
	case c.Start.Year() < 1971 || c.Start.Year() > 2200:
		return fmt.Errorf("start is %s: must lie in the years 1971 to 2200", c.Start.Format(time.RFC3339))
	case c.Duration != 0 && (c.Duration < time.Second || c.Duration > maxDuration):
		return fmt.Errorf("duration is %s: must be 0 (without end) or 1s to %s", c.Duration, maxDuration)
	case !(c.Activity > 0 && c.Activity <= maxActivity):
		return fmt.Errorf("activity is %v: must be above 0, at most %d", c.Activity, maxActivity)
	case c.Tenant == "" || len(c.Tenant) > 128:
		return fmt.Errorf("tenant has %d bytes: must have 1 to 128", len(c.Tenant))
	case c.Labels.Delay < time.Minute || c.Labels.Delay > 366*24*time.Hour:
		return fmt.Errorf("labels.delay is %s: must be 1m to a year", c.Labels.Delay)
	}
	for _, s := range c.shares() {
		if !(s.value >= 0 && s.value <= 1) {
			return fmt.Errorf("%s is %v: must be 0 to 1", s.name, s.value)
		}
	}
	if c.Mix.Bots.Mimicry.Min > c.Mix.Bots.Mimicry.Max {
		return fmt.Errorf("mix.bots.mimicry: min %v is above max %v", c.Mix.Bots.Mimicry.Min, c.Mix.Bots.Mimicry.Max)
	}
	if c.Mix.Rings.Mimicry.Min > c.Mix.Rings.Mimicry.Max {
		return fmt.Errorf("mix.rings.mimicry: min %v is above max %v", c.Mix.Rings.Mimicry.Min, c.Mix.Rings.Mimicry.Max)
	}
	if sum := c.Mix.Bots.Share + c.Mix.Rings.Share; sum > 0.5 {
		return fmt.Errorf("mix: frauds are %v of all accounts: at most half can be", sum)
	}
	if sum := c.Mix.Autoplay + c.Mix.Households + c.Mix.Hunters; sum > 1 {
		return fmt.Errorf("mix: autoplay, households and hunters add up to %v: at most 1", sum)
	}
	return nil
}

type namedShare struct {
	name  string
	value float64
}

func (c Config) shares() []namedShare {
	return []namedShare{
		{"new_share", c.NewShare}, {"rollbacks", c.Rollbacks},
		{"mix.bots.share", c.Mix.Bots.Share}, {"mix.rings.share", c.Mix.Rings.Share},
		{"mix.bots.mimicry.min", c.Mix.Bots.Mimicry.Min}, {"mix.bots.mimicry.max", c.Mix.Bots.Mimicry.Max},
		{"mix.rings.mimicry.min", c.Mix.Rings.Mimicry.Min}, {"mix.rings.mimicry.max", c.Mix.Rings.Mimicry.Max},
		{"mix.autoplay", c.Mix.Autoplay}, {"mix.households", c.Mix.Households},
		{"mix.hunters", c.Mix.Hunters}, {"mix.mobile", c.Mix.Mobile},
		{"labels.missing", c.Labels.Missing}, {"labels.wrong", c.Labels.Wrong}, {"labels.reviewed", c.Labels.Reviewed},
	}
}

// end is the first microsecond that is not watched.
func (c Config) end() int64 {
	if c.Duration == 0 {
		return math.MaxInt64
	}
	return c.Start.UnixMicro() + c.Duration.Microseconds()
}

// span is the time over which new accounts and careers are spread: the watched time, 30 days where that has no end.
func (c Config) span() int64 {
	if c.Duration == 0 {
		return 30 * day
	}
	return c.Duration.Microseconds()
}
