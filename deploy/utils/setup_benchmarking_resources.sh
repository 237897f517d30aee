#!/bin/sh
exec dynamoctl benchmark setup --manifests "$(dirname "$0")/manifests" "$@"
