package main

import (
	"context"
	"errors"
	"math/rand"
	"net/http"
	"strconv"
	"sync"
	"time"

	log "github.com/hashicorp/go-hclog"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
)

// open gives the storage, and the lock that several nodes over it share.
func open(folder string, ha bool, logger log.Logger) (physical.Backend, physical.HABackend, error) {
	if folder != "" {
		storage, err := file.NewFileBackend(map[string]string{"path": folder}, logger)
		return storage, nil, err
	}
	if ha {
		storage, err := inmem.NewInmemHA(nil, logger)
		if err != nil {
			return nil, nil, err
		}
		return storage, storage.(physical.HABackend), nil
	}
	storage, err := inmem.NewInmem(nil, logger)
	return storage, nil, err
}

// faulty is storage that may be slow and fail: what Vault makes of that is Vault's own.
type faulty struct {
	physical.Backend
	mutex sync.Mutex
	delay time.Duration
	fail  float64
}

// suffer waits as long as set, then fails as often as set.
func (f *faulty) suffer(ctx context.Context) error {
	f.mutex.Lock()
	delay, fail := f.delay, f.fail
	f.mutex.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail > 0 && rand.Float64() < fail {
		return errors.New("storage fault")
	}
	return nil
}

func (f *faulty) Put(ctx context.Context, entry *physical.Entry) error {
	if err := f.suffer(ctx); err != nil {
		return err
	}
	return f.Backend.Put(ctx, entry)
}

func (f *faulty) Get(ctx context.Context, key string) (*physical.Entry, error) {
	if err := f.suffer(ctx); err != nil {
		return nil, err
	}
	return f.Backend.Get(ctx, key)
}

func (f *faulty) Delete(ctx context.Context, key string) error {
	if err := f.suffer(ctx); err != nil {
		return err
	}
	return f.Backend.Delete(ctx, key)
}

func (f *faulty) List(ctx context.Context, prefix string) ([]string, error) {
	if err := f.suffer(ctx); err != nil {
		return nil, err
	}
	return f.Backend.List(ctx, prefix)
}

// ServeHTTP sets the faults: /storage?delay=200ms&fail=0.3; what is left out is off.
func (f *faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var delay time.Duration
	var fail float64
	var err error
	query := r.URL.Query()
	if value := query.Get("delay"); value != "" {
		if delay, err = time.ParseDuration(value); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	if value := query.Get("fail"); value != "" {
		if fail, err = strconv.ParseFloat(value, 64); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	f.mutex.Lock()
	f.delay, f.fail = delay, fail
	f.mutex.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
