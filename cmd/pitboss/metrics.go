package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pitboss/features"
	"pitboss/features/feed"
	"pitboss/journal"
)

// storeCollector reads the counters that the journal, the engine and the feed keep, when Prometheus asks.
type storeCollector struct {
	app    *app
	feed   *feed.Feed
	bundle *reloader
}

// Describe sends nothing: an unchecked collector, whose figures are all in Collect.
func (*storeCollector) Describe(chan<- *prometheus.Desc) {}

// Collect reads all figures.
func (c *storeCollector) Collect(ch chan<- prometheus.Metric) {
	send := func(kind prometheus.ValueType, name, help string, value float64) {
		ch <- prometheus.MustNewConstMetric(prometheus.NewDesc(name, help, nil, nil), kind, value)
	}
	counter := func(name, help string, v uint64) { send(prometheus.CounterValue, name, help, float64(v)) }
	gauge := func(name, help string, v float64) { send(prometheus.GaugeValue, name, help, v) }
	counter("pitboss_registry_reloads_total", "Bundles that were read again and decide since, without a restart.", c.bundle.loaded.Load())
	counter("pitboss_registry_reload_refusals_total", "Bundles that were read again and refused: the one before serves on, the log says why.", c.bundle.refused.Load())
	gauge("pitboss_registry_bundle_waiting", "1 while a bundle waits for its groups to be built before it decides.", asFloat(c.bundle.waiting.Load() != nil))
	c.journal(counter, gauge)
	c.engine(counter, gauge)
	c.decider(counter)
	c.lateness(ch, counter, gauge)
	c.values(ch)
	c.groups(ch)
	c.timeline(ch, counter, gauge)
	c.kafka(ch, counter, gauge)
}

type (
	sendCounter func(name, help string, v uint64)
	sendGauge   func(name, help string, v float64)
)

func (c *storeCollector) journal(counter sendCounter, gauge sendGauge) {
	s := c.app.journal.Stats()
	counter("pitboss_journal_frames_total", "Frames appended. Standing still under load, nothing is recorded.", s.Frames)
	counter("pitboss_journal_appended_bytes_total", "Bytes appended, sealed and not compressed yet.", s.Bytes)
	counter("pitboss_journal_batches_total", "Writes to the disk. Frames by batches is what group commit saves.", s.Batches)
	counter("pitboss_journal_fsyncs_total", "Fsyncs of the log.", s.Fsyncs)
	counter("pitboss_journal_full_total", "Appends refused because the disk did not keep up. Any at all is a disk that is too slow.", s.Full)
	counter("pitboss_journal_failures_total", "Times that writing failed. Each is a full or broken disk.", s.Failures)
	counter("pitboss_journal_compact_errors_total", "Segments that could not be compressed. They stay as they are and cost room.", s.CompactErrors)
	gauge("pitboss_journal_fsync_max_seconds", "Longest fsync so far. Above 0.1 a power cut may take back that much.", s.FsyncMax.Seconds())
	counter("pitboss_journal_compacted_segments_total", "Segments compressed. Standing still while the log grows, it is not.", s.Compacted)
	counter("pitboss_journal_compacted_in_bytes_total", "Bytes of those segments before.", uint64(s.CompactedIn))
	counter("pitboss_journal_compacted_out_bytes_total", "Bytes of those segments after. By in bytes: what compression saves.", uint64(s.CompactedOut))
	counter("pitboss_journal_removed_segments_total", "Segments that journal.keep_bytes or keep_for removed.", s.Removed)
	counter("pitboss_journal_remove_errors_total", "Segments that could not be removed. They cost room until the next try.", s.RemoveErrors)
	gauge("pitboss_journal_segments", "Files of the log.", float64(s.Segments))
	gauge("pitboss_journal_tail_offset", "Oldest frame that is kept.", float64(s.Tail.Offset))
	gauge("pitboss_journal_floor_offset", "First frame that a checkpoint still needs. Standing still, nothing more is removed.", float64(s.Floor.Offset))
	gauge("pitboss_journal_size_bytes", "Size of the log on disk.", float64(s.SegmentBytes))
	gauge("pitboss_journal_pending_bytes", "Appended and not written yet. Near journal.buffer_bytes, appends are refused.", float64(s.PendingBytes))
	gauge("pitboss_journal_failed", "1 while nothing can be written: decisions are the default outcome then.", asFloat(s.Failed))
	gauge("pitboss_journal_disk_full", "1 while that is because the disk is full: make room, it goes on by itself.",
		asFloat(errors.Is(c.app.journal.Failed(), journal.ErrNoSpace)))
}

// decider sends what must never happen to a model.
func (c *storeCollector) decider(counter sendCounter) {
	s := c.app.decider.Stats()
	counter("pitboss_decide_additivity_errors_total",
		"Scores whose contributions missed the margin by more than rounding: no reasons were shown. Any at all is a bundle to take away.", s.Additivity)
	counter("pitboss_decide_model_errors_total", "Rows on which the model failed. Any at all is a bundle to take away.", s.ModelErrors)
	counter("pitboss_decide_model_panics_total", "Rows on which the model panicked. Any at all is a bundle to take away.", s.Panics)
	counter("pitboss_decide_feature_errors_total", "Vectors that could not be read, for lack of time or otherwise: those decisions are the default.", s.FeatureErrors)
}

func (c *storeCollector) engine(counter sendCounter, gauge sendGauge) {
	s := c.app.engine.Stats()
	counter("pitboss_features_applied_events_total", "Events applied to their entities.", s.Applied)
	counter("pitboss_features_duplicate_events_total", "Events that had been applied before. A jump is a producer that sends again.", s.Duplicates)
	counter("pitboss_features_conflicting_events_total", "Events refused because another one has their event_id: a producer's mistake.", s.Conflicts)
	counter("pitboss_features_duplicate_transactions_total", "Events refused because another one has their transaction.", s.Transactions)
	counter("pitboss_features_pushes_total", "Entities whose values were pushed. None for longer than a value's ttl: features are stale.", s.Pushes)
	counter("pitboss_features_vectors_total", "Vectors read.", s.Vectors)
	counter("pitboss_features_recoveries_total", "Times that memory was rebuilt after a failed write.", s.Recoveries)
	counter("pitboss_features_checkpoint_errors_total", "Checkpoints that failed. Restarts get slower until one succeeds.", s.CheckpointErrors)
	counter("pitboss_features_throttled_total", "Waits for a checkpoint before more is applied. Any rate is a disk that is too slow.", s.Throttled)
	counter("pitboss_features_loaded_entities_total", "Entities read from disk. A high rate wants more engine.max_bytes.", s.Loaded)
	counter("pitboss_features_sweeps_total", "Rounds through the entities on disk. Standing still for hours, idle ones stay.", s.Sweeps)
	counter("pitboss_features_swept_entities_total", "Idle entities taken out of the state.", s.Swept)
	counter("pitboss_features_shrunk_entities_total", "Idle entities of which only what outlives windows was kept.", s.Shrunk)
	b := c.app.engine.Backfill()
	gauge("pitboss_features_backfill_groups", "Groups that are being built from the journal; they warm up until then.", float64(b.Groups))
	gauge("pitboss_features_backfill_done_frames", "Frames that the backfill has read.", float64(b.Done))
	gauge("pitboss_features_backfill_total_frames", "Frames that it has to read. Growing as fast as those read, it will not end.", float64(b.Total))
	gauge("pitboss_features_backfill_gathered_events", "Events read from a source of before the journal. Standing still while groups are built, gathering is over.", float64(b.Gathered))
	gauge("pitboss_features_backfill_failed", "1 where that source cannot be read: the new groups only warm up until the next start.", asFloat(b.Failed != nil))
	gauge("pitboss_features_backfill_joining", "1 while a finished backfill is copied into every entity.", asFloat(b.Joining))
	gauge("pitboss_features_entities", "Entities in memory.", float64(s.Entities))
	gauge("pitboss_features_entities_bytes", "Their memory, as estimated. At engine.max_bytes, idle ones leave.", float64(s.EntityBytes))
	gauge("pitboss_features_dirty_entities", "Entities that wait for a checkpoint.", float64(s.Dirty))
	gauge("pitboss_features_behind_frames", "Frames that a restart would read again.", float64(s.Behind))
	gauge("pitboss_features_recovering", "1 while memory is rebuilt and nothing is accepted.", asFloat(s.Recovering))
	if s.CheckpointAt > 0 {
		gauge("pitboss_features_checkpoint_age_seconds", "Age of the last checkpoint. Far above engine.checkpoint_every, restarts get slow.",
			time.Since(time.UnixMicro(s.CheckpointAt)).Seconds())
	}
}

// values sends what the features' values were worth.
func (c *storeCollector) values(ch chan<- prometheus.Metric) {
	statuses := prometheus.NewDesc("pitboss_features_sampled_values_total",
		"Values in every sixteenth vector, by status. A growing share that is not present says which feature is worth less than it was.", []string{"set", "feature", "status"}, nil)
	nulls := prometheus.NewDesc("pitboss_features_sampled_nulls_total",
		"Values in every sixteenth vector that were missing to the model. A share that jumps is a field that a producer no longer fills.", []string{"set", "feature"}, nil)
	age := prometheus.NewDesc("pitboss_features_sampled_age_seconds",
		"Age of the newest event, or pushed value, behind a feature's value, in every sixteenth vector; the event that is decided on left out. A mean that grows is a feature of the past.", []string{"set", "feature"}, nil)
	none := prometheus.NewDesc("pitboss_features_sampled_without_event_total",
		"Values in every sixteenth vector that nothing in their window is behind. A share that jumps is a producer that is silent, or entities that are new.", []string{"set", "feature"}, nil)
	made := prometheus.NewDesc("pitboss_features_feature_groups",
		"1 for each group that a feature is made of: joined by kind and group, late and duplicate events (pitboss_features_group_...) can be read by feature.", []string{"set", "feature", "kind", "group"}, nil)
	for _, s := range c.app.engine.ValueStats() {
		if s.Aged+s.NoEvent > 0 {
			ch <- prometheus.MustNewConstSummary(age, s.Aged, s.AgeSeconds, nil, s.Set, s.Feature)
			ch <- prometheus.MustNewConstMetric(none, prometheus.CounterValue, float64(s.NoEvent), s.Set, s.Feature)
		}
		for _, g := range s.Groups {
			ch <- prometheus.MustNewConstMetric(made, prometheus.GaugeValue, 1, s.Set, s.Feature, g.Kind, g.Group)
		}
		for status, n := range s.Statuses {
			ch <- prometheus.MustNewConstMetric(statuses, prometheus.CounterValue, float64(n), s.Set, s.Feature, status)
		}
		ch <- prometheus.MustNewConstMetric(nulls, prometheus.CounterValue, float64(s.Nulls), s.Set, s.Feature)
	}
}

// groups sends what came to the features' groups, and how fresh they were.
func (c *storeCollector) groups(ch chan<- prometheus.Metric) {
	labels := []string{"kind", "group"}
	events := prometheus.NewDesc("pitboss_features_group_events_total",
		"Events applied to a group of an entity; of what group a feature is, `pitboss features describe` says. Standing still, its features are of the past.", labels, nil)
	late := prometheus.NewDesc("pitboss_features_group_late_events_total",
		"Of those, events more than a minute older than the entity's newest. What was read at their time meanwhile did not know of them.", labels, nil)
	again := prometheus.NewDesc("pitboss_features_group_duplicate_events_total",
		"Events of a group that came again, by whatever way. They count once; a jump is a producer that sends twice.", labels, nil)
	age := prometheus.NewDesc("pitboss_features_group_age_seconds",
		"Age of a group's newest event when a vector was read, in every sixteenth vector. Growing for many entities, its events no longer come.", labels, nil)
	none := prometheus.NewDesc("pitboss_features_group_without_event_total",
		"Groups that had no event when a vector was read, in every sixteenth vector: entities that are new, or a producer that is silent.", labels, nil)
	for _, s := range c.app.engine.GroupStats() {
		for _, one := range []struct {
			desc *prometheus.Desc
			n    uint64
		}{{events, s.Events}, {late, s.Late}, {again, s.Duplicates}, {none, s.NoEvent}} {
			ch <- prometheus.MustNewConstMetric(one.desc, prometheus.CounterValue, float64(one.n), s.Kind, s.Group)
		}
		ch <- prometheus.MustNewConstHistogram(age, s.Aged, s.AgeSeconds, s.Ages, s.Kind, s.Group)
	}
}

// timeline sends what producers did not send.
func (c *storeCollector) timeline(ch chan<- prometheus.Metric, counter sendCounter, gauge sendGauge) {
	if !c.app.followed {
		return
	}
	s := c.app.timeline.Stats()
	gauge("pitboss_timeline_stale", "1 while the timeline is far behind the journal: what it says is of the past.", asFloat(s.Stale))
	gauge("pitboss_timeline_rounds", "Rounds that are remembered (timeline.window).", float64(s.Rounds))
	gauge("pitboss_timeline_rounds_never_closed", "Of those, rounds that were still for timeline.settle, or open beyond their game's limit for it, and have no end. A jump is an engine that died, or events that are lost.", float64(s.NeverClosed))
	gauge("pitboss_timeline_bets_without_round", "Of those, rounds with a bet and no start, bets that name no round among them.", float64(s.BetWithoutRound))
	gauge("pitboss_timeline_results_without_bet", "Of those, rounds with a result and no bet. Any at all is a bet that was lost, or a result that was made up.", float64(s.ResultWithoutBet))
	gauge("pitboss_timeline_scores_without_round", "Of those, rounds with a tournament's score and no start, scores that name no round among them. Any at all is a score that was made up, or a start that was lost.", float64(s.ScoreWithoutRound))
	gauge("pitboss_timeline_contributions_without_bet", "Of those, rounds with a jackpot's contribution and no bet, contributions that name no round among them. Any at all is a pool that was tampered with, or a bet that was lost.", float64(s.ContributionWithoutBet))
	counter("pitboss_timeline_dropped_rounds_total", "Rounds forgotten within their window because there were more than timeline.max_rounds.", s.Dropped)
	labels := []string{"tenant", "producer"}
	missing := prometheus.NewDesc("pitboss_timeline_producer_missing_numbers", "Sequence numbers of a producer that did not come, of its newest 256 gaps. Growing, its events are lost.", labels, nil)
	gaps := prometheus.NewDesc("pitboss_timeline_producer_gaps", "How many gaps these make.", labels, nil)
	offset := prometheus.NewDesc("pitboss_timeline_producer_offset_seconds", "received_at - occurred_at of a producer at its smallest: the clocks' difference and the shortest way. Below 0 its clock is ahead.", labels, nil)
	slope := prometheus.NewDesc("pitboss_timeline_producer_slope_ratio", "How that changes, in seconds a second. Far from 0, its clock runs wrong.", labels, nil)
	for i := range s.Producers {
		p := &s.Producers[i]
		send := func(desc *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, p.Tenant, p.Producer)
		}
		send(missing, float64(p.Missing))
		send(gaps, float64(p.Gaps))
		send(offset, float64(p.Clock.OffsetUS)/1e6)
		if p.Clock.SlopePPM != nil {
			send(slope, *p.Clock.SlopePPM/1e6)
		}
	}
}

// lateness sends what came late, what was taken back, and how far event time has come.
func (c *storeCollector) lateness(ch chan<- prometheus.Metric, counter sendCounter, gauge sendGauge) {
	s := c.app.engine.Stats()
	late := prometheus.NewDesc("pitboss_features_late_events_total",
		"Events received more than a minute after they happened, by how long. Decisions meanwhile did not know of them.", []string{"age"}, nil)
	for _, a := range s.Ages {
		ch <- prometheus.MustNewConstMetric(late, prometheus.CounterValue, float64(a.Events), a.Age)
	}
	counter("pitboss_features_corrections_total", "Events that a later one took back or replaced.", s.Corrections)
	counter("pitboss_features_corrections_waiting_total", "Corrections that came before their original. Far above met, originals are missing.", s.CorrectionsWaiting)
	counter("pitboss_features_corrections_met_total", "Originals whose correction was there before them.", s.CorrectionsMet)
	counter("pitboss_features_corrections_lost_total",
		"Corrections whose original was erased or removed from the journal. Their values say correction_missed.", s.CorrectionsLost)
	counter("pitboss_features_blocked_events_total", "Events that were blocked, and so count as attempted, not as placed.", s.Blocked)
	e := c.app.edge.Stats()
	counter("pitboss_edge_refused_events_total", "Events refused at the edge, for whatever reason. A rise after a producer's release is its mistake.", e.Refused)
	counter("pitboss_edge_too_late_events_total", "Events refused because they had happened more than 30 days before. They count nowhere.", e.TooOld)
	counter("pitboss_edge_future_events_total", "Events refused because they happen more than 5 s later than now. Any rate is a producer's clock that is wrong.", e.InFuture)
	unknown := prometheus.NewDesc("pitboss_edge_unknown_fields_total",
		"Fields that this build does not know, by path and whether they are kept. Any at all is a producer with a newer schema: an upgrade would read them.", []string{"path", "kept"}, nil)
	for _, u := range e.Unknown {
		ch <- prometheus.MustNewConstMetric(unknown, prometheus.CounterValue, float64(u.Kept), u.Path, "true")
		ch <- prometheus.MustNewConstMetric(unknown, prometheus.CounterValue, float64(u.LeftOut), u.Path, "false")
	}
	at := c.app.engine.Watermark()
	if at == 0 {
		return
	}
	gauge("pitboss_features_watermark_age_seconds", "How far event time lies behind now. Growing, a producer is silent or late: see the producers'.",
		time.Since(time.UnixMicro(at)).Seconds())
	age := prometheus.NewDesc("pitboss_features_producer_watermark_age_seconds",
		"How far a producer's events lie behind now. The greatest of the active ones holds back what waits for the watermark.", []string{"tenant", "producer"}, nil)
	producers, dropped := c.app.engine.Producers()
	for _, p := range producers {
		if p.Active {
			ch <- prometheus.MustNewConstMetric(age, prometheus.GaugeValue, time.Since(time.UnixMicro(p.At)).Seconds(), p.Tenant, p.Producer)
		}
	}
	counter("pitboss_features_producers_dropped_total", "Producers forgotten because there were more than engine.max_producers.", dropped)
}

func (c *storeCollector) kafka(ch chan<- prometheus.Metric, counter sendCounter, gauge sendGauge) {
	if c.feed == nil {
		return
	}
	s := c.feed.Stats()
	counter("pitboss_feed_records_total", "Kafka records read. Standing still under load, see pitboss_feed_reading.", s.Records)
	counter("pitboss_feed_applied_events_total", "Records applied as events.", s.Applied)
	counter("pitboss_feed_duplicate_events_total", "Records whose event had come before, by call or again.", s.Duplicates)
	counter("pitboss_feed_dead_letters_total", "Records sent to the dead-letter topic. A rise after a producer's release is its mistake.", s.Dead)
	counter("pitboss_feed_away_total", "Times that the brokers were lost.", s.Away)
	counter("pitboss_feed_waits_total", "Times that a batch waited because nothing could be written.", s.Waits)
	counter("pitboss_feed_quarantined_total", "Dead letters of a newer major schema than this build reads. Any at all wants an upgrade, and then those letters sent again.", s.Quarantined)
	counter("pitboss_feed_schema_lookups_total", "Questions to the schema registry. A steady rate is a cache that is too small (kafka.schema_registry.max_schemas) or ids that it does not have.", s.Lookups)
	counter("pitboss_feed_registry_away_total", "Times that reading began to wait for the schema registry.", s.RegistryAway)
	lag := prometheus.NewDesc("pitboss_feed_lag_records",
		"Records that Kafka has and pitboss has not read. Growing under steady load, windows are behind what happens.", []string{"topic", "partition"}, nil)
	for _, l := range c.feed.Lags() {
		if !l.Known {
			continue // 0 would say that all is read
		}
		ch <- prometheus.MustNewConstMetric(lag, prometheus.GaugeValue, float64(l.Records), l.Topic, strconv.Itoa(int(l.Partition)))
	}
	if lag := c.app.engine.Lag(); lag != features.NoLag {
		gauge("pitboss_features_consumer_lag_records", "The lag over all partitions that vectors and records carry. Absent, nobody knows it: brokers are away.", float64(lag))
	}
	gauge("pitboss_feed_schema_waiting_partitions", "Partitions that wait for the schema registry, while the others are read. Above 0 for long, see /readyz.",
		float64(c.feed.Status().Waiting))
	gauge("pitboss_feed_reading", "1 while all partitions are read; 0 is brokers or the schema registry away, a refused offset, or a full disk: see /readyz.",
		asFloat(c.feed.Status().State == feed.StateReading))
}

func asFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
