#pragma once
int ckernels_placeholder(void);
