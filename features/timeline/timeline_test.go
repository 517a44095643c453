package timeline_test

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features/timeline"
	pb "pitboss/proto/pitboss/v1"
)

var start = time.Date(2025, 3, 3, 10, 0, 0, 0, time.UTC)

// at makes an event of producer p that came in 250 ms after it happened.
func at(after time.Duration, kind string, change ...func(*pb.Event)) *pb.Event {
	t := start.Add(after)
	ev := &pb.Event{Tenant: "demo", Type: kind, ProducerId: "p", OccurredAt: timestamppb.New(t), ReceivedAt: timestamppb.New(t.Add(250 * time.Millisecond))}
	for _, f := range change {
		f(ev)
	}
	return ev
}

func seq(n uint64) func(*pb.Event) { return func(ev *pb.Event) { ev.ProducerSeq = n } }

func of(kind, value string) func(*pb.Event) {
	return func(ev *pb.Event) { ev.Entities = append(ev.Entities, &pb.Identifier{Kind: kind, Value: value}) }
}

func beat(n uint64) func(*pb.Event) {
	return func(ev *pb.Event) {
		ev.Payload = &pb.Event_SessionHeartbeat{SessionHeartbeat: &pb.SessionHeartbeat{Seq: n}}
	}
}

func report(t testing.TB, cfg timeline.Config, events ...*pb.Event) timeline.Report {
	t.Helper()
	f := timeline.New(cfg)
	for _, ev := range events {
		if err := f.Add(ev); err != nil {
			t.Fatal(err)
		}
	}
	return f.Report()
}

func TestGaps(t *testing.T) {
	f := func(name string, numbers []uint64, missing, again uint64, want ...timeline.Gap) {
		t.Helper()
		var events []*pb.Event
		for _, n := range numbers {
			events = append(events, at(0, "auth.login", seq(n)))
		}
		p := report(t, timeline.DefaultConfig(), events...).Producers[0]
		if p.Missing != missing || p.Again != again || p.Gaps != len(want) {
			t.Errorf("%s: %d missing, %d again, %d gaps; want %d, %d, %d", name, p.Missing, p.Again, p.Gaps, missing, again, len(want))
		}
		if diff := cmp.Diff(want, p.FirstGaps); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	gap := func(first, last uint64) timeline.Gap { return timeline.Gap{First: first, Last: last} }
	f("none", []uint64{3, 4, 5}, 0, 0)
	f("one", []uint64{3, 5}, 1, 0, gap(4, 4))
	f("late closes it", []uint64{3, 5, 4}, 0, 0)
	f("late closes half", []uint64{1, 10, 4, 5}, 6, 0, gap(2, 3), gap(6, 9))
	f("backwards", []uint64{5, 4, 2, 1}, 1, 0, gap(3, 3))
	f("again", []uint64{1, 2, 2, 1, 2}, 0, 3)
	f("not numbered", []uint64{0, 0}, 0, 0)
	f("the largest number", []uint64{math.MaxUint64, math.MaxUint64 - 2, math.MaxUint64}, 1, 1, gap(math.MaxUint64-1, math.MaxUint64-1))
}

func TestRounds(t *testing.T) {
	whole := func(id string, after time.Duration, kinds ...string) (events []*pb.Event) {
		for i, kind := range kinds {
			events = append(events, at(after+time.Duration(i)*time.Second, kind, of("round", id)))
		}
		return events
	}
	var events []*pb.Event
	for _, more := range [][]*pb.Event{
		whole("fine", 0, "round.started", "bet.placed", "round.result", "round.closed"),
		whole("open", time.Minute, "round.started", "bet.placed"),
		whole("unstarted", 2*time.Minute, "bet.placed", "round.result", "round.closed"),
		whole("unbet", 3*time.Minute, "round.started", "round.result", "round.closed"),
		whole("under way", 59*time.Minute, "bet.placed"),
		{at(time.Hour, "bet.placed"), at(time.Hour, "auth.login")},
	} {
		events = append(events, more...)
	}
	ref := func(id string, minute int) timeline.Holes {
		return timeline.Holes{Count: 1, First: []timeline.RoundRef{{Tenant: "demo", Round: id, Began: start.Add(time.Duration(minute) * time.Minute)}}}
	}
	want := timeline.Rounds{Rounds: 5, NeverClosed: ref("open", 1), BetWithoutRound: ref("unstarted", 2), HomelessBets: 1, ResultWithoutBet: ref("unbet", 3)}
	if diff := cmp.Diff(want, report(t, timeline.DefaultConfig(), events...).Rounds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// The late end of a round closes it, and a bound through a round opens none.
	late := append(whole("open", 70*time.Second, "round.closed"), events...)
	if got := report(t, timeline.DefaultConfig(), late...).Rounds.NeverClosed.Count; got != 0 {
		t.Errorf("a round that was closed late: %d never closed", got)
	}
	cfg := timeline.DefaultConfig()
	cfg.From, cfg.To, cfg.Settle = start.Add(2*time.Second), start.Add(62*time.Second), 0
	want = timeline.Rounds{Rounds: 1, NeverClosed: ref("open", 1)}
	// The round's bet is the newest event within the bounds, and still for no time at all: it is settled.
	if diff := cmp.Diff(want, report(t, cfg, events...).Rounds); diff != "" {
		t.Errorf("between bounds (-want +got):\n%s", diff)
	}
}

// TestWhatAnotherEventMustHaveCaused holds that a tournament's score needs a round that began, and a jackpot's contribution a bet.
func TestWhatAnotherEventMustHaveCaused(t *testing.T) {
	events := []*pb.Event{
		at(0, "round.started", of("round", "fine")), at(0, "bet.placed", of("round", "fine")), at(0, "jackpot.contribution", of("round", "fine")),
		at(time.Second, "tournament.score", of("round", "fine")), at(time.Second, "round.closed", of("round", "fine")),
		at(time.Minute, "tournament.score", of("round", "unstarted")), at(time.Minute, "round.closed", of("round", "unstarted")),
		at(2*time.Minute, "round.started", of("round", "unbet")), at(2*time.Minute, "jackpot.contribution", of("round", "unbet")),
		at(2*time.Minute, "round.closed", of("round", "unbet")),
		at(3*time.Minute, "tournament.score"), at(3*time.Minute, "jackpot.contribution"), at(3*time.Minute, "jackpot.contribution"),
		at(time.Hour, "auth.login"),
	}
	hole := func(id string, minute int) timeline.Holes {
		return timeline.Holes{Count: 1, First: []timeline.RoundRef{{Tenant: "demo", Round: id, Began: start.Add(time.Duration(minute) * time.Minute)}}}
	}
	want := timeline.Rounds{
		Rounds: 3, ScoreWithoutRound: hole("unstarted", 1), ContributionWithoutBet: hole("unbet", 2), HomelessScores: 1, HomelessContributions: 2,
	}
	if diff := cmp.Diff(want, report(t, timeline.DefaultConfig(), events...).Rounds); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	events = append(events, at(2*time.Minute, "bet.placed", of("round", "unbet")), at(time.Minute, "round.started", of("round", "unstarted")))
	if got := report(t, timeline.DefaultConfig(), events...).Rounds; got.ScoreWithoutRound.Count+got.ContributionWithoutBet.Count != 0 {
		t.Errorf("after what came late: %+v", got)
	}
}

func launched(limit time.Duration) func(*pb.Event) {
	return func(ev *pb.Event) {
		ev.Payload = &pb.Event_GameLaunched{GameLaunched: &pb.GameLaunched{MaxRoundMs: new(limit.Milliseconds())}}
	}
}

func startedFor(limit time.Duration) func(*pb.Event) {
	return func(ev *pb.Event) {
		ev.Payload = &pb.Event_RoundStarted{RoundStarted: &pb.RoundStarted{MaxRoundMs: new(limit.Milliseconds())}}
	}
}

// TestRoundsOfAGameWithALimit holds that a game's own limit says when a round is overdue, whatever its pauses, and that the round's
// own goes before it.
func TestRoundsOfAGameWithALimit(t *testing.T) {
	f := func(name string, neverClosed, tooLong int, now time.Duration, events ...*pb.Event) {
		t.Helper()
		got := report(t, timeline.DefaultConfig(), append(events, at(now, "auth.login"))...).Rounds
		if got.NeverClosed.Count != neverClosed || got.OpenTooLong.Count != tooLong {
			t.Errorf("%s: %d never closed, %d open for too long, want %d and %d", name, got.NeverClosed.Count, got.OpenTooLong.Count, neverClosed, tooLong)
		}
	}
	begin := func(change ...func(*pb.Event)) *pb.Event {
		return at(0, "round.started", append(change, of("round", "r"), of("game", "g"))...)
	}
	end := func(after time.Duration) *pb.Event { return at(after, "round.closed", of("round", "r")) }
	game := func(limit time.Duration) *pb.Event { return at(0, "game.launched", of("game", "g"), launched(limit)) }
	const settle = 10 * time.Minute

	f("no limit, still for long", 1, 0, settle, begin())
	f("within a long limit", 0, 0, 2*time.Hour, begin(), game(3*time.Hour))
	f("at its end", 0, 0, 3*time.Hour+settle, begin(), game(3*time.Hour))
	f("beyond it", 1, 0, 3*time.Hour+settle+time.Second, begin(), game(3*time.Hour))
	f("beyond a short one, and not still", 1, 0, settle+2*time.Minute, begin(), game(time.Minute), at(settle+time.Minute, "bet.placed", of("round", "r")))
	f("of another game", 1, 0, time.Hour, begin(), at(0, "game.launched", of("game", "h"), launched(3*time.Hour)))
	f("of another tenant", 1, 0, time.Hour, begin(), at(0, "game.launched", of("game", "g"), launched(3*time.Hour), func(ev *pb.Event) { ev.Tenant = "other" }))
	f("the longest of several", 0, 0, 2*time.Hour, game(3*time.Hour), begin(), game(time.Minute))
	f("the round's own is shorter", 1, 0, 2*time.Hour, begin(startedFor(time.Minute)), game(3*time.Hour))
	f("the round's own is longer", 0, 0, 2*time.Hour, begin(startedFor(3*time.Hour)), game(time.Minute))
	f("closed in time", 0, 0, time.Hour, begin(), game(time.Minute), end(time.Minute))
	f("closed too late", 0, 1, time.Hour, begin(), game(time.Minute), end(time.Minute+time.Second))
	f("closed late without a limit", 0, 0, 2*time.Hour, begin(), end(time.Hour))
	f("a limit that no clock holds", 0, 0, time.Hour, begin(startedFor(1<<63-1)))
}

func TestSessions(t *testing.T) {
	var events []*pb.Event
	for _, n := range []uint64{1, 2, 5} {
		events = append(events, at(0, "session.heartbeat", of("session", "a"), beat(n)), at(0, "session.heartbeat", of("session", "b"), beat(n%4+1)))
	}
	want := timeline.Sessions{Streams: 2, Broken: 1, Missing: 2}
	if diff := cmp.Diff(want, report(t, timeline.DefaultConfig(), events...).Sessions); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestClock holds that the smallest difference of each minute tells a clock's offset and how it drifts, whatever the delays.
func TestClock(t *testing.T) {
	f := func(name string, minutes int, ppm float64, offset time.Duration, wantOffset int64, wantPPM *float64) {
		t.Helper()
		dice := rand.New(rand.NewPCG(1, 2))
		var events []*pb.Event
		for i := range minutes * 60 {
			after := time.Duration(i) * time.Second
			ev := at(after, "auth.login")
			drift := time.Duration(float64(after) * ppm / 1e6)
			delay := time.Duration(dice.IntN(500)) * time.Millisecond
			if i%60 == 30 {
				delay = 0
			}
			ev.ReceivedAt = timestamppb.New(ev.OccurredAt.AsTime().Add(offset + drift + delay))
			ev.ClockQuality = &pb.ClockQuality{NtpOffsetUs: int64(-i), Source: "ntp"}
			events = append(events, ev)
		}
		got := report(t, timeline.DefaultConfig(), events...).Producers[0].Clock
		if d := got.OffsetUS - wantOffset; d < -2000 || d > 2000 {
			t.Errorf("%s: offset %d us, want about %d", name, got.OffsetUS, wantOffset)
		}
		switch {
		case (got.SlopePPM == nil) != (wantPPM == nil):
			t.Errorf("%s: slope %v, want %v", name, got.SlopePPM, wantPPM)
		case wantPPM != nil && math.Abs(*got.SlopePPM-*wantPPM) > 1:
			t.Errorf("%s: slope %v ppm, want about %v", name, *got.SlopePPM, *wantPPM)
		}
		if *got.NTPOffsetUS != int64(1-minutes*60) || got.Reference != "ntp" {
			t.Errorf("%s: ntp %d by %q", name, *got.NTPOffsetUS, got.Reference)
		}
	}
	f("steady", 30, 0, 40*time.Millisecond, 40_000, new(0.0))
	f("ahead", 30, 0, -2*time.Second, -2_000_000, new(0.0))
	f("drifting", 60, 50, 0, 180_000, new(50.0))
	f("too short for a slope", 5, 0, 40*time.Millisecond, 40_000, nil)
}

// TestReportDependsOnTheSetAlone shuffles random events, holes and repeated numbers and bounds among them.
func TestReportDependsOnTheSetAlone(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	kinds := []string{
		"round.started", "bet.placed", "round.result", "round.closed", "session.heartbeat", "tournament.score", "jackpot.contribution", "game.launched",
	}
	for range 20 {
		var events []*pb.Event
		for range 400 {
			ev := at(time.Duration(dice.IntN(48*60*60))*time.Second, kinds[dice.IntN(len(kinds))], seq(uint64(dice.IntN(600))),
				of("round", fmt.Sprint(dice.IntN(80))), of("session", fmt.Sprint(dice.IntN(5))))
			ev.ProducerId = fmt.Sprint(dice.IntN(3))
			ev.ReceivedAt = timestamppb.New(ev.ReceivedAt.AsTime().Add(time.Duration(dice.IntN(1e9))))
			ev.ClockQuality = &pb.ClockQuality{NtpOffsetUs: int64(dice.IntN(3) - 1), Source: fmt.Sprint(dice.IntN(3))}
			switch ev.Type {
			case "session.heartbeat":
				beat(uint64(dice.IntN(40)))(ev)
			case "game.launched":
				launched(time.Duration(dice.IntN(10)) * time.Hour)(ev)
			case "round.started":
				startedFor(time.Duration(max(0, dice.IntN(20)-10)) * time.Hour)(ev)
			}
			of("game", fmt.Sprint(dice.IntN(4)))(ev)
			events = append(events, ev)
		}
		cfg := timeline.DefaultConfig()
		if dice.IntN(2) == 0 {
			cfg.From, cfg.To = start.Add(time.Hour), start.Add(20*time.Hour)
		}
		want := report(t, cfg, events...)
		for range 5 {
			dice.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
			if diff := cmp.Diff(want, report(t, cfg, events...)); diff != "" {
				t.Fatalf("seed %d: another order, another report (-want +got):\n%s", seed, diff)
			}
		}
	}
}

// TestMinutesOfAClockAreBounded holds that of more than a day the newest minutes stay, in any order.
func TestMinutesOfAClockAreBounded(t *testing.T) {
	var forth, back []*pb.Event
	for i := range 2000 {
		forth = append(forth, at(time.Duration(i)*time.Minute, "auth.login"))
		back = append([]*pb.Event{forth[i]}, back...)
	}
	a, b := report(t, timeline.DefaultConfig(), forth...), report(t, timeline.DefaultConfig(), back...)
	if diff := cmp.Diff(a, b); diff != "" || a.Producers[0].Clock.Minutes != 1440 {
		t.Errorf("%d minutes, want 1440; backwards (-forth +back):\n%s", a.Producers[0].Clock.Minutes, diff)
	}
}

func TestTooMuchIsAnErrorAndNoReport(t *testing.T) {
	cfg := timeline.DefaultConfig()
	cfg.MaxItems = 10
	f := timeline.New(cfg)
	for i := range 20 {
		err := f.Add(at(0, "round.started", of("round", fmt.Sprint(i))))
		if want := i >= 8; want != errors.Is(err, timeline.ErrTooMuch) { // the producer and its minute are two
			t.Fatalf("round %d: %v", i, err)
		}
	}
}
