//! Where an amphora is and whose load balancer it serves.
