#pragma once

#include "model/evaluation/selection.h"
