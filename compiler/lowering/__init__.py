"""A policy as tables: classes of users, destinations and services, buckets, and what they decide."""
