package main

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pitboss/features/feed"
)

// storeCollector reads the counters that the journal, the engine and the feed keep, when Prometheus asks.
type storeCollector struct {
	app  *app
	feed *feed.Feed
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
	c.journal(counter, gauge)
	c.engine(counter, gauge)
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
	gauge("pitboss_journal_size_bytes", "Size of the log on disk.", float64(s.SegmentBytes))
	gauge("pitboss_journal_pending_bytes", "Appended and not written yet. Near journal.buffer_bytes, appends are refused.", float64(s.PendingBytes))
	gauge("pitboss_journal_failed", "1 while nothing can be written: decisions are the default outcome then.", asFloat(s.Failed))
}

func (c *storeCollector) engine(counter sendCounter, gauge sendGauge) {
	s := c.app.engine.Stats()
	counter("pitboss_features_applied_events_total", "Events applied to their entities.", s.Applied)
	counter("pitboss_features_duplicate_events_total", "Events that had been applied before. A jump is a producer that sends again.", s.Duplicates)
	counter("pitboss_features_conflicting_events_total", "Events refused because another one has their event_id: a producer's mistake.", s.Conflicts)
	counter("pitboss_features_duplicate_transactions_total", "Events refused because another one has their transaction.", s.Transactions)
	counter("pitboss_features_vectors_total", "Vectors read.", s.Vectors)
	counter("pitboss_features_recoveries_total", "Times that memory was rebuilt after a failed write.", s.Recoveries)
	counter("pitboss_features_checkpoint_errors_total", "Checkpoints that failed. Restarts get slower until one succeeds.", s.CheckpointErrors)
	counter("pitboss_features_throttled_total", "Waits for a checkpoint before more is applied. Any rate is a disk that is too slow.", s.Throttled)
	counter("pitboss_features_loaded_entities_total", "Entities read from disk. A high rate wants more engine.max_bytes.", s.Loaded)
	counter("pitboss_features_sweeps_total", "Rounds through the entities on disk. Standing still for hours, idle ones stay.", s.Sweeps)
	counter("pitboss_features_swept_entities_total", "Idle entities taken out of the state.", s.Swept)
	counter("pitboss_features_shrunk_entities_total", "Idle entities of which only what outlives windows was kept.", s.Shrunk)
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
	lag := prometheus.NewDesc("pitboss_feed_lag_records",
		"Records that Kafka has and pitboss has not read. Growing under steady load, windows are behind what happens.", []string{"topic", "partition"}, nil)
	for _, l := range c.feed.Lags() {
		ch <- prometheus.MustNewConstMetric(lag, prometheus.GaugeValue, float64(l.Records), l.Topic, strconv.Itoa(int(l.Partition)))
	}
	gauge("pitboss_feed_reading", "1 while Kafka is read; 0 is brokers away, a refused offset, or a full disk: see /readyz.",
		asFloat(c.feed.Status().State == feed.StateReading))
}

func asFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
