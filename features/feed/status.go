package feed

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"pitboss/features"
)

// State is what the feed is doing.
type State string

// The states of a feed.
const (
	// StateConnecting has no partition to read yet: brokers were not reached, topics are missing, or the group did not
	// give one.
	StateConnecting State = "connecting"
	// StateReading reads.
	StateReading State = "reading"
	// StateAway cannot read or write Kafka now, and comes back by itself.
	StateAway State = "away"
	// StateWaiting waits for the engine, which cannot write now.
	StateWaiting State = "waiting"
	// StateNoSchema has partitions that wait for the schema registry, which cannot be asked now. The others are read.
	StateNoSchema State = "registry_away"
	// StateRefused needs a person: see Error.
	StateRefused State = "refused"
	// StateStopped has ended.
	StateStopped State = "stopped"
)

// Status is what readiness shows of the feed.
type Status struct {
	State State
	// Error is what keeps the feed from reading, or from reading all; empty while it reads everything.
	Error string
	// Since is when State began.
	Since time.Time
	// Waiting is how many partitions wait for the schema registry.
	Waiting int
}

// Stats count since the start.
type Stats struct {
	// Records were read; each was Applied, a Duplicate or Dead.
	Records, Applied, Duplicates, Dead uint64
	// Away counts times that Kafka could not be read or written, Waits times that the engine could not write.
	Away, Waits uint64
	// Quarantined are the dead letters of a newer major schema than this build reads: send them again after an upgrade.
	Quarantined uint64
	// Lookups are questions to the schema registry, RegistryAway times that it could not be asked.
	Lookups, RegistryAway uint64
}

type counters struct {
	records, applied, duplicates, dead, away, waits, quarantined, registryAway atomic.Uint64
}

// Stats are the feed's counters.
func (f *Feed) Stats() Stats {
	c := &f.counts
	return Stats{
		Records: c.records.Load(), Applied: c.applied.Load(), Duplicates: c.duplicates.Load(), Dead: c.dead.Load(),
		Away: c.away.Load(), Waits: c.waits.Load(), Quarantined: c.quarantined.Load(),
		Lookups: f.decoder.Lookups(), RegistryAway: c.registryAway.Load(),
	}
}

// condition is what is known of all that reading needs; the state follows from it.
type condition struct {
	mu sync.Mutex // guards all below
	// brokers, letters, engine and registry say what is wrong with each, empty where nothing is.
	brokers, letters, engine, registry string
	// fetch says what is wrong with partitions, by partition; of the group where the topic is empty.
	fetch   map[partition]string
	missing []string
	// waiting is how many partitions wait for the registry.
	waiting int
	// joined says that the group gave us partitions since the last connection.
	joined bool
	// over is why the feed has ended: stopped or refused.
	over  State
	ended string

	state State
	since time.Time
}

// Status is what the feed is doing now.
func (f *Feed) Status() Status {
	c := &f.condition
	c.mu.Lock()
	defer c.mu.Unlock()
	state, text := c.derive()
	return Status{State: state, Error: text, Since: c.since, Waiting: c.waiting}
}

// derive says what the state is and why; the caller holds mu.
func (c *condition) derive() (State, string) {
	switch {
	case c.over != "":
		return c.over, c.ended
	case c.brokers != "":
		return StateAway, c.brokers
	case len(c.fetch) > 0:
		return StateAway, c.firstFetch()
	case c.letters != "":
		return StateAway, c.letters
	case c.engine != "":
		return StateWaiting, c.engine
	case c.waiting > 0:
		return StateNoSchema, cmp.Or(c.registry, "the schema registry has not answered yet")
	case !c.joined:
		return StateConnecting, c.missingText()
	}
	return StateReading, c.missingText()
}

func (c *condition) firstFetch() string {
	texts := make([]string, 0, len(c.fetch))
	for _, text := range c.fetch {
		texts = append(texts, text)
	}
	slices.Sort(texts)
	return texts[0]
}

func (c *condition) missingText() string {
	if len(c.missing) == 0 {
		return ""
	}
	return fmt.Sprintf("waiting for topics that do not exist: %s", strings.Join(c.missing, ", "))
}

// change changes the condition; the log has each change of state once, not each failed try.
func (f *Feed) change(what func(*condition)) {
	c := &f.condition
	c.mu.Lock()
	defer c.mu.Unlock()
	what(c)
	state, text := c.derive()
	if state == c.state {
		return
	}
	c.state, c.since = state, time.Now()
	switch state {
	case StateReading:
		f.log.Info("reading kafka", "topics", f.cfg.Topics)
	case StateAway:
		f.counts.away.Add(1)
		f.log.Warn("kafka is away; calls are served, reading resumes by itself", "error", text)
	case StateWaiting:
		f.counts.waits.Add(1)
		f.log.Warn("events cannot be written now; reading kafka waits and nothing is lost", "error", text)
	case StateNoSchema:
		f.counts.registryAway.Add(1)
		f.log.Warn("the schema registry cannot be asked; partitions that need it wait and nothing is lost", "error", text, "partitions", c.waiting)
	case StateRefused:
		f.log.Error("kafka is not read", "error", text)
	case StateConnecting, StateStopped:
	}
}

// looked tells how a look at the brokers went.
func (f *Feed) looked(err error) {
	f.change(func(c *condition) { c.brokers = textOf(err) })
}

// missing tells which topics do not exist.
func (f *Feed) missing(topics []string) {
	f.change(func(c *condition) { c.missing = topics })
}

// joined tells that the group gave us partitions: what was wrong with the group is over.
func (f *Feed) joined() {
	f.change(func(c *condition) {
		c.joined = true
		clear(c.fetch)
	})
}

// parted tells that the client was closed.
func (f *Feed) parted() {
	f.change(func(c *condition) {
		c.joined = false
		c.waiting, c.registry = 0, ""
		clear(c.fetch)
	})
}

// fetchFailed tells that a partition cannot be read, or the group not joined, and fetched that it can again.
func (f *Feed) fetchFailed(p partition, err error) {
	f.change(func(c *condition) {
		if c.fetch == nil {
			c.fetch = map[partition]string{}
		}
		c.fetch[p] = fmt.Sprintf("topic %q partition %d: %v", p.topic, p.id, err)
		if p.topic == "" {
			c.fetch[p] = err.Error()
		}
	})
}

func (f *Feed) fetched(p partition) {
	f.change(func(c *condition) { delete(c.fetch, p) })
}

// buried tells how writing dead letters went.
func (f *Feed) buried(err error) {
	f.change(func(c *condition) { c.letters = textOf(err) })
}

// asked tells how a question to the schema registry went.
func (f *Feed) asked(err error) {
	f.change(func(c *condition) { c.registry = textOf(err) })
}

// waitForSchemas tells how many partitions wait for it.
func (f *Feed) waitForSchemas(partitions int) {
	f.change(func(c *condition) { c.waiting = partitions })
}

// waiting tells that the engine cannot write, and writing that it can.
func (f *Feed) waiting(err error) {
	f.change(func(c *condition) { c.engine = textOf(err) })
}

func (f *Feed) writing() { f.waiting(nil) }

// mustWait is nil where the engine will be able to write again by itself.
func (f *Feed) mustWait(err error) error {
	if errors.Is(err, features.ErrClosed) {
		return err
	}
	f.waiting(err)
	return nil
}

func (f *Feed) stopped(err error) {
	f.change(func(c *condition) {
		c.over, c.ended = StateStopped, textOf(err)
		if _, ok := errors.AsType[*RefusedError](err); ok {
			c.over = StateRefused
		}
	})
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
