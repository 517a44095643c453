package server

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pitboss/features/edge"
	pb "pitboss/proto/pitboss/v1"
)

// metrics are the server's figures. Every label's values are from a table: a stranger cannot make new ones.
type metrics struct {
	requests     *prometheus.CounterVec
	duration     *prometheus.HistogramVec
	inFlight     prometheus.Gauge
	authFailures *prometheus.CounterVec
	panics       prometheus.Counter
	internal     prometheus.Counter
	rejections   *prometheus.CounterVec
	publishes    *prometheus.CounterVec
	decisions    *prometheus.CounterVec
	degraded     *prometheus.CounterVec
	stages       *prometheus.HistogramVec
	ages         *prometheus.HistogramVec
}

// latencyBuckets are seconds. The budget is 30 ms and the hard limit 50: both are edges.
func latencyBuckets() []float64 {
	return []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .02, .03, .05, .1, .25, 1, 10}
}

// ageBuckets are seconds: from one bet to the next, to the longest window.
func ageBuckets() []float64 { return []float64{1, 10, 60, 600, 3600, 86400, 7 * 86400, 30 * 86400} }

func newMetrics(reg *prometheus.Registry) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: latencyBuckets()}, labels)
	}
	m := &metrics{
		requests: counter("pitboss_server_requests_total",
			"Calls answered, by code. A rising share of INTERNAL is a fault of pitboss, of RESOURCE_EXHAUSTED too little machine, "+
				"of INVALID_ARGUMENT a producer that changed.", "transport", "route", "code"),
		duration: histogram("pitboss_server_request_duration_seconds",
			"From a call's arrival to its answer. A p99 of decide over 0.03 misses the budget of the game.", "transport", "route"),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pitboss_server_in_flight_requests",
			Help: "Calls being worked on. Near limits.in_flight, callers are turned away."}),
		authFailures: counter("pitboss_server_auth_failures_total",
			"Calls of nobody we know, by cause. A burst of wrong_secret or unknown is somebody trying keys.", "cause"),
		panics: prometheus.NewCounter(prometheus.CounterOpts{Name: "pitboss_server_panics_total",
			Help: "Calls that ended in a panic. Any at all is a bug to report, with the log's stack."}),
		internal: prometheus.NewCounter(prometheus.CounterOpts{Name: "pitboss_server_internal_errors_total",
			Help: "Calls that failed for a reason that the caller could do nothing about. Any at all is in the log."}),
		rejections: counter("pitboss_edge_rejected_events_total",
			"Events refused for good, by reason. A rise after a producer's release is its mistake; IN_FUTURE is a clock.", "reason"),
		publishes: counter("pitboss_server_published_events_total",
			"Events of batches, by what became of them. REJECTED ones are lost unless their producer mends them.", "status"),
		decisions: counter("pitboss_decide_decisions_total",
			"Decisions given to callers. A jump in hold or block is an attack, or a bad model: look at the reasons.",
			"outcome", "status"),
		degraded: counter("pitboss_decide_degraded_total",
			"Stages that decisions had to do without. Any rate over a few in a thousand means that fraud passes unseen.",
			"stage", "cause"),
		stages: histogram("pitboss_decide_stage_duration_seconds",
			"Time in each stage of new decisions. The stage whose p99 grows is the one to look at.", "stage"),
		ages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "pitboss_decide_entity_age_seconds",
			Help: "Time from the newest event inside an entity to the one that is decided, by kind, of entities that were known; below 0 is in the first " +
				"bucket. Growing for all kinds under steady load, events are missing: see pitboss_feed_lag_records.", Buckets: ageBuckets()}, []string{"kind"}),
	}
	for _, c := range []prometheus.Collector{
		m.requests, m.duration, m.inFlight, m.authFailures, m.panics, m.internal, m.rejections, m.publishes, m.decisions,
		m.degraded, m.stages, m.ages,
	} {
		if err := reg.Register(c); err != nil {
			return nil, err //nolint:wrapcheck // the registry's error names the metric
		}
	}
	return m, nil
}

// rejected counts an event that the edge refused and gives its error back.
func (m *metrics) rejected(err error) error {
	if refused, ok := errors.AsType[*edge.Error](err); ok {
		m.rejections.WithLabelValues(string(refused.Reason)).Inc()
	}
	return err
}

func (m *metrics) published(results []*pb.PublishResult) {
	for _, r := range results {
		m.publishes.WithLabelValues(publishStatus(r.GetStatus())).Inc()
	}
}

func publishStatus(s pb.PublishStatus) string {
	switch s {
	case pb.PublishStatus_PUBLISH_STATUS_ACCEPTED:
		return "accepted"
	case pb.PublishStatus_PUBLISH_STATUS_DUPLICATE:
		return "duplicate"
	case pb.PublishStatus_PUBLISH_STATUS_REJECTED:
		return "rejected"
	default:
		return "unavailable"
	}
}

// decided counts an answer.
func (m *metrics) decided(d *pb.Decision) {
	m.decisions.WithLabelValues(outcomeLabel(d.GetOutcome()), statusLabel(d.GetStatus())).Inc()
	for _, g := range d.GetDegraded() {
		m.degraded.WithLabelValues(
			bounded(g.GetStage(), "explain", "model", "rules", "features", "record"),
			bounded(g.GetCause(), "deadline", "error", "unavailable", "not_written")).Inc()
	}
	if d.GetStatus() == pb.Status_STATUS_DUPLICATE {
		return // its timings would only say how fast a record is read
	}
	t := d.GetTimingsUs()
	for _, a := range d.GetEntityAges() {
		if a.AgeMs != nil {
			m.ages.WithLabelValues(a.GetKind()).Observe(float64(a.GetAgeMs()) / 1000)
		}
	}
	for _, s := range [...]struct {
		stage string
		us    int64
	}{
		{"admission", t.GetAdmission()}, {"features", t.GetFeatures()}, {"rules", t.GetRules()}, {"model", t.GetModel()},
		{"explain", t.GetExplain()}, {"policy", t.GetPolicy()}, {"record", t.GetRecord()}, {"total", t.GetTotal()},
	} {
		m.stages.WithLabelValues(s.stage).Observe(float64(s.us) / 1e6)
	}
}

func outcomeLabel(o pb.Outcome) string {
	switch o {
	case pb.Outcome_OUTCOME_ALLOW:
		return "allow"
	case pb.Outcome_OUTCOME_CHALLENGE:
		return "challenge"
	case pb.Outcome_OUTCOME_LIMIT:
		return "limit"
	case pb.Outcome_OUTCOME_HOLD:
		return "hold"
	case pb.Outcome_OUTCOME_BLOCK:
		return "block"
	default:
		return "other"
	}
}

func statusLabel(s pb.Status) string {
	switch s {
	case pb.Status_STATUS_NEW:
		return "new"
	case pb.Status_STATUS_DUPLICATE:
		return "duplicate"
	case pb.Status_STATUS_SUPERSEDING:
		return "superseding"
	case pb.Status_STATUS_DRY_RUN:
		return "dry_run"
	default:
		return "other"
	}
}

// bounded gives value where it is one of known.
func bounded(value string, known ...string) string {
	for _, k := range known {
		if k == value {
			return k
		}
	}
	return "other"
}

// answered counts a call.
func (m *metrics) answered(transport, route, code string, took time.Duration) {
	m.requests.WithLabelValues(transport, route, code).Inc()
	m.duration.WithLabelValues(transport, route).Observe(took.Seconds())
}
