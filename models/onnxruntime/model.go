package onnxruntime

import (
	"fmt"
	"math"
	"runtime"

	"pitboss/floats"
	"pitboss/models"
)

// model is a graph in a session. All that lies in C is the session's, which is destroyed when the model is garbage.
type model struct {
	info    models.Info
	link    linkKind
	least   float64 // the least probability above 0 and the most below 1 that the graph's type can hold
	most    float64
	session *session
}

var _ models.Model = (*model)(nil)

// unexplainable is what Info says of every graph.
const unexplainable = "a graph that ONNX Runtime runs has no exact contributions"

// newModel opens a session on a graph that was inspected. Where the margins that the plan found behind the output do not give
// it on rows that are tried, the output is taken as it is.
func newModel(data []byte, hash [32]byte, version string, g *Graph, p *plan) (*model, error) {
	s, err := newSession(data, g, p)
	if err != nil {
		return nil, err
	}
	m := &model{link: p.link, least: 0x1p-126, most: 1 - 0x1p-24, session: s}
	if s.double {
		m.least, m.most = 0x1p-1022, 1-0x1p-53
	}
	m.info = models.Info{
		Format: models.FormatONNX, FormatVersion: g.version(), Backend: "onnxruntime " + version, Tolerance: Tolerance,
		Hash: hash, Objective: p.objective(), Probability: p.link != linkIdentity,
		Outputs: outputs(p.link, s.width), Unexplainable: unexplainable, Bytes: len(data),
	}
	for _, name := range p.columns {
		m.info.Features = append(m.info.Features, models.Feature{
			Name: name, Gain: math.NaN(), Cover: math.NaN(), Min: math.NaN(), Max: math.NaN(),
		})
	}
	// The cleanup must not reach m, which would then never be garbage.
	runtime.AddCleanup(m, (*session).destroy, s)
	if m.info.Cost.PredictMicros, err = s.price(); err != nil {
		return nil, err
	}
	return m, nil
}

// outputs is how many margins a model has whose graph gives width values: two classes are one margin.
func outputs(link linkKind, width int) int {
	if width == 2 && (link == linkSoftmax || link == linkProbability) {
		return 1
	}
	return width
}

// Info implements models.Model.
func (m *model) Info() *models.Info { return &m.info }

// Predict implements models.Model. It waits while as many rows as the process has processors are being scored.
func (m *model) Predict(row []float64, _ *models.Scratch, margins []float64) error {
	defer runtime.KeepAlive(m)
	if len(row) != len(m.info.Features) || len(margins) != m.info.Outputs {
		return fmt.Errorf("cannot score a row of %d values into %d margins; the model has %d features and %d outputs: %w",
			len(row), len(margins), len(m.info.Features), m.info.Outputs, models.ErrRow)
	}
	s := m.session.take()
	defer m.session.put(s)
	values, at, err := s.run(row)
	if err != nil {
		if at >= 0 {
			return fmt.Errorf("cannot score a row: column %d (%.64q) is %v: %w", at, m.info.Features[at].Name, row[at], err)
		}
		return fmt.Errorf("cannot score a row: %w", err)
	}
	if err := m.toMargins(values, margins); err != nil {
		return fmt.Errorf("cannot score a row: %w", err)
	}
	return nil
}

// Explain implements models.Model.
func (m *model) Explain([]float64, *models.Scratch, []float64, []float64) error {
	return fmt.Errorf("cannot explain: %s: %w", unexplainable, models.ErrUnexplainable)
}

// Score implements models.Model.
func (m *model) Score(margins, scores []float64) error {
	if len(margins) != m.info.Outputs || len(scores) != m.info.Outputs {
		return fmt.Errorf("cannot score %d margins into %d scores; the model has %d outputs: %w", len(margins), len(scores), m.info.Outputs, models.ErrRow)
	}
	switch {
	case m.link == linkIdentity:
		copy(scores, margins)
	case m.link == linkSigmoid || len(margins) == 1:
		for i, x := range margins {
			scores[i] = 1 / (1 + floats.Exp(-x))
		}
	default:
		softmax(margins, scores)
	}
	return nil
}

// toMargins makes margins of what the graph gave.
func (m *model) toMargins(values, margins []float64) error {
	for i, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("the graph gives %v as value %d", v, i)
		}
	}
	switch {
	case m.link == linkProbability:
		return m.logits(values, margins)
	case m.link == linkSoftmax && len(margins) == 1:
		margins[0] = values[1] - values[0]
	default:
		copy(margins, values)
	}
	return nil
}

// logits are of probabilities of classes, which are held inside the numbers between 0 and 1.
func (m *model) logits(values, margins []float64) error {
	const rounding = 1e-3 // a sum over a few hundred classes in float32
	sum := 0.0
	for i, p := range values {
		if p < 0 || p > 1+rounding {
			return fmt.Errorf("the graph gives %v as the probability of class %d", p, i)
		}
		sum += p
	}
	if math.Abs(sum-1) > rounding {
		return fmt.Errorf("the graph gives probabilities of all classes that add up to %v", sum)
	}
	if len(margins) == 1 {
		p := min(max(values[1], m.least), m.most)
		margins[0] = floats.Log(p) - floats.Log(1-p) // 1-p is exact for a float32
		return nil
	}
	for i, p := range values {
		margins[i] = floats.Log(max(p, m.least))
	}
	return nil
}

// softmax subtracts the largest margin first. The slices have one length and may be the same.
func softmax(margins, scores []float64) {
	top := margins[0]
	for _, x := range margins {
		top = max(top, x)
	}
	sum := 0.0
	for i, x := range margins {
		scores[i] = floats.Exp(x - top)
		sum += scores[i]
	}
	for i := range scores {
		scores[i] /= sum
	}
}
