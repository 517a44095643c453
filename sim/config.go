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
	// Share of all accounts, 0 to 1. Where it comes to half an account or more there is at least one agent, or one group.
	Share float64
	// Mimicry of the agents, 0 (crude) to 1 (as close to honest as the fraud's aim allows). A group has one value.
	Mimicry Range
}

// Mix is who plays: the frauds, and the honest players that look like them. Everyone else is an ordinary player. But for
// Frauds and Mobile, which are of all players, the shares are of honest players, and each is of one kind.
type Mix struct {
	// Frauds are the frauds by their typology. Of groups (rings, farms) Share counts accounts.
	Frauds [Typologies]Fraud
	// Autoplay lets the machine press the button, as regularly as a bot.
	Autoplay float64
	// Households share an address, sometimes a device or a card, with one to three others.
	Households float64
	// Hunters take every bonus and play it out within the rules.
	Hunters float64
	// Travellers play from abroad one week in three.
	Travellers float64
	// Bursts are VIPs who now and then play for ten to fifty times their stake.
	Bursts float64
	// Night works in shifts and plays at odd hours.
	Night float64
	// Streamers play for hours every evening, at one game.
	Streamers float64
	// VPN goes through one of few exits that many share.
	VPN float64
	// Metronomic uses a switch for an input device, which is as even as a machine.
	Metronomic float64
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
	// Scenarios are what changes meanwhile. Default: nothing.
	Scenarios []Scenario
}

// DefaultConfig gives the published figures of a casino with 2 % of fraudulent accounts, watched for a week.
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
			Frauds:     usualFrauds(),
			Autoplay:   0.08,
			Households: 0.03,
			Hunters:    0.01,
			Travellers: 0.03,
			Bursts:     0.005,
			Night:      0.05,
			Streamers:  0.002,
			VPN:        0.06,
			Metronomic: 0.003,
			Mobile:     0.4,
		},
		Labels: Labels{Delay: 10 * 24 * time.Hour, Missing: 0.15, Wrong: 0.02, Reviewed: 0.02},
	}
}

// usualFrauds are the shares of docs/sim.md, with every mimicry.
func usualFrauds() [Typologies]Fraud {
	var out [Typologies]Fraud
	for t, k := range fraudKinds() {
		out[t] = Fraud{Share: k.share, Mimicry: Range{0, 1}}
	}
	return out
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
	if err := c.Mix.validate(); err != nil {
		return err
	}
	if err := c.checkScenarios(); err != nil {
		return err
	}
	sum := 0
	for _, n := range c.accountsOf() {
		if n.Accounts > c.Players/2 {
			return fmt.Errorf("mix.%s: its smallest group has %d accounts: more than half of %d players", n.Typology, n.Accounts, c.Players)
		}
		sum += n.Accounts
	}
	if sum > c.Players/2 {
		return fmt.Errorf("mix: frauds are %d of %d accounts: at most half can be", sum, c.Players)
	}
	return nil
}

// validate checks what the shares are together.
func (m *Mix) validate() error {
	for t, f := range m.Frauds {
		if f.Mimicry.Min > f.Mimicry.Max {
			return fmt.Errorf("mix.%s.mimicry: min %v is above max %v", Typology(t), f.Mimicry.Min, f.Mimicry.Max)
		}
	}
	sum := 0.0
	for _, s := range m.honest() {
		sum += s.value
	}
	if sum > 1 {
		return fmt.Errorf("mix: the shares of honest players add up to %v: at most 1", sum)
	}
	return nil
}

// honest are the shares of honest players of a kind of their own.
func (m *Mix) honest() []namedShare {
	return []namedShare{
		{"mix.autoplay", m.Autoplay}, {"mix.households", m.Households}, {"mix.hunters", m.Hunters},
		{"mix.travellers", m.Travellers}, {"mix.bursts", m.Bursts}, {"mix.night", m.Night},
		{"mix.streamers", m.Streamers}, {"mix.vpn", m.VPN}, {"mix.metronomic", m.Metronomic},
	}
}

type namedShare struct {
	name  string
	value float64
}

func (c Config) shares() []namedShare {
	out := append(c.Mix.honest(),
		namedShare{"new_share", c.NewShare}, namedShare{"rollbacks", c.Rollbacks}, namedShare{"mix.mobile", c.Mix.Mobile},
		namedShare{"labels.missing", c.Labels.Missing}, namedShare{"labels.wrong", c.Labels.Wrong},
		namedShare{"labels.reviewed", c.Labels.Reviewed})
	for t, f := range c.Mix.Frauds {
		name := "mix." + Typology(t).String()
		out = append(out, namedShare{name + ".share", f.Share}, namedShare{name + ".mimicry.min", f.Mimicry.Min},
			namedShare{name + ".mimicry.max", f.Mimicry.Max})
	}
	return out
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
