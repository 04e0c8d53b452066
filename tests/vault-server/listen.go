package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"

	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/vault"
)

// serve takes connections from the moment it returns.
func serve(listener net.Listener, handler http.Handler) {
	go func() { must(http.Serve(listener, handler)) }()
}

func servePlain(addresses string, core *vault.Core) error {
	for _, address := range split(addresses) {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			return err
		}
		serve(listener, handler(core))
	}
	return nil
}

func serveTLS(addresses, cert, key, clientCA string, core *vault.Core) error {
	if addresses == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return err
	}
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if clientCA != "" {
		pem, err := os.ReadFile(clientCA)
		if err != nil {
			return err
		}
		config.ClientCAs, config.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
		if !config.ClientCAs.AppendCertsFromPEM(pem) {
			return errors.New("no certificate in " + clientCA)
		}
	}
	for _, address := range split(addresses) {
		listener, err := tls.Listen("tcp", address, config)
		if err != nil {
			return err
		}
		serve(listener, handler(core))
	}
	return nil
}

func serveAdmin(address string, storage *faulty) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.Handle("/storage", storage)
	serve(listener, mux)
	return nil
}

func handler(core *vault.Core) http.Handler {
	return vaulthttp.Handler.Handler(&vault.HandlerProperties{Core: core, ListenerConfig: &configutil.Listener{}})
}

func split(addresses string) []string {
	if addresses == "" {
		return nil
	}
	return strings.Split(addresses, ",")
}
