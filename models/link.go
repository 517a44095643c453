package models

import "pitboss/floats"

// linkKind is the function between margin and score.
type linkKind uint8

const (
	linkIdentity     linkKind = iota
	linkLogistic              // 1/(1+e^(-sigmoid*x)), each output by itself
	linkSoftmax               // over all outputs
	linkExp                   // e^x
	linkLogExp                // ln(1+e^x)
	linkSignedSquare          // sign(x)*x*x
	linkStep                  // 1 for x > 0, 0 otherwise
	linkGraph                 // what an ONNX graph does
)

// link turns margins into scores, as the objective's ConvertOutput does in LightGBM and its
// PredTransform in XGBoost.
type link struct {
	kind    linkKind
	sigmoid float64
	// divisor is the number of iterations for a random forest, whose score is made from the mean of its
	// trees, and 1 otherwise.
	divisor float64
	graph   *graphLink // of linkGraph
}

// probability says that every score is in [0,1].
func (l link) probability() bool {
	return l.kind == linkLogistic || l.kind == linkSoftmax || l.kind == linkGraph && l.graph.probability
}

// apply writes the scores of margins; the slices have one length and may be the same.
func (l link) apply(margins, scores []float64) {
	switch l.kind {
	case linkSoftmax:
		l.softmax(margins, scores)
		return
	case linkGraph:
		l.graph.apply(margins, scores)
		return
	default:
	}
	for i, x := range margins {
		if l.divisor != 1 {
			x /= l.divisor
		}
		scores[i] = l.one(x)
	}
}

func (l link) one(x float64) float64 {
	switch l.kind {
	case linkLogistic:
		return logistic(float64(l.sigmoid * x))
	case linkExp:
		return floats.Exp(x)
	case linkLogExp:
		return floats.Log1p(floats.Exp(x))
	case linkSignedSquare:
		if x < 0 {
			return float64(-x * x)
		}
		return float64(x * x)
	case linkStep:
		if x > 0 {
			return 1
		}
		return 0
	default:
		return x
	}
}

// softmax subtracts the largest margin first, like LightGBM's Common::Softmax.
func (l link) softmax(margins, scores []float64) {
	top := margins[0] / l.divisor
	for i, x := range margins {
		scores[i] = x / l.divisor
		top = max(top, scores[i])
	}
	sum := 0.0
	for i, x := range scores {
		scores[i] = floats.Exp(x - top)
		sum += scores[i]
	}
	for i := range scores {
		scores[i] /= sum
	}
}

// logistic returns 1/(1+e**-x), without overflow on either side.
func logistic(x float64) float64 {
	return 1 / (1 + floats.Exp(-x))
}
