//go:build !amd64

package models

// hasVectors is false: there is no vector kernel for this architecture.
const hasVectors = false

func (k *kernel) downVector(kind stepKind, steps []step) { k.downScalar(kind, steps) }
func (k *kernel) upVector(kind stepKind, steps []step)   { k.upScalar(kind, steps) }
