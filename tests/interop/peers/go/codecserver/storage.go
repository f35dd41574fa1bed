package main

import (
	"fmt"
	"strconv"
	"sync"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

// storage is a driver that stores payloads in this process. The SDK stores those of 256 KiB and more.
type storage struct {
	mu     sync.Mutex
	stored []*commonpb.Payload
}

func newExternalStorage() converter.ExternalStorage {
	return converter.ExternalStorage{Drivers: []converter.StorageDriver{&storage{}}}
}

// Name returns the name in the references.
func (s *storage) Name() string { return "memory" }

// Type returns the kind of the driver.
func (s *storage) Type() string { return "memory" }

// Store stores payloads, and returns an index for each.
func (s *storage) Store(_ converter.StorageDriverStoreContext, payloads []*commonpb.Payload) ([]converter.StorageDriverClaim, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var claims []converter.StorageDriverClaim
	for _, payload := range payloads {
		claims = append(claims, converter.StorageDriverClaim{ClaimData: map[string]string{"index": strconv.Itoa(len(s.stored))}})
		s.stored = append(s.stored, payload)
	}
	return claims, nil
}

// Retrieve returns stored payloads.
func (s *storage) Retrieve(_ converter.StorageDriverRetrieveContext, claims []converter.StorageDriverClaim) ([]*commonpb.Payload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var payloads []*commonpb.Payload
	for _, claim := range claims {
		index, err := strconv.Atoi(claim.ClaimData["index"])
		if err != nil || index >= len(s.stored) {
			return nil, fmt.Errorf("nothing is stored as %q", claim.ClaimData["index"])
		}
		payloads = append(payloads, s.stored[index])
	}
	return payloads, nil
}
