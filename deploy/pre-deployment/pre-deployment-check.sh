#!/bin/sh
exec dynamoctl check "$@"
