/* The paper library's ABI table: size of every struct, offset and size of every field. */

#include "paper.h"

static const AbiField FIELDS[] = {
    ABI_STRUCT(HeadRows),
    ABI_FIELD(HeadRows, data), ABI_FIELD(HeadRows, batch_stride), ABI_FIELD(HeadRows, head_stride),
    ABI_FIELD(HeadRows, row_stride),
    ABI_STRUCT(Attention),
    ABI_FIELD(Attention, query), ABI_FIELD(Attention, key), ABI_FIELD(Attention, value), ABI_FIELD(Attention, mask),
    ABI_FIELD(Attention, mask_batch_stride), ABI_FIELD(Attention, mask_row_stride), ABI_FIELD(Attention, session),
    ABI_FIELD(Attention, out), ABI_FIELD(Attention, batch), ABI_FIELD(Attention, heads),
    ABI_FIELD(Attention, queries), ABI_FIELD(Attention, keys), ABI_FIELD(Attention, threads),
    ABI_FIELD(Attention, scratch),
    ABI_STRUCT(TemporalAttention),
    ABI_FIELD(TemporalAttention, query), ABI_FIELD(TemporalAttention, key), ABI_FIELD(TemporalAttention, value),
    ABI_FIELD(TemporalAttention, key_cache), ABI_FIELD(TemporalAttention, value_cache),
    ABI_FIELD(TemporalAttention, mask), ABI_FIELD(TemporalAttention, session),
    ABI_FIELD(TemporalAttention, frame_slot), ABI_FIELD(TemporalAttention, out),
    ABI_FIELD(TemporalAttention, images), ABI_FIELD(TemporalAttention, places),
    ABI_FIELD(TemporalAttention, heads), ABI_FIELD(TemporalAttention, frames),
    ABI_FIELD(TemporalAttention, threads),
    ABI_STRUCT(Matrix),
    ABI_FIELD(Matrix, packed), ABI_FIELD(Matrix, scale), ABI_FIELD(Matrix, bias), ABI_FIELD(Matrix, norm_weight),
    ABI_FIELD(Matrix, norm_bias), ABI_FIELD(Matrix, epsilon), ABI_FIELD(Matrix, requant_scale),
    ABI_FIELD(Matrix, zero_point), ABI_FIELD(Matrix, dtype), ABI_FIELD(Matrix, activation),
    ABI_FIELD(Matrix, inputs), ABI_FIELD(Matrix, outputs),
    ABI_STRUCT(Linear),
    ABI_FIELD(Linear, first), ABI_FIELD(Linear, second), ABI_FIELD(Linear, x), ABI_FIELD(Linear, residual),
    ABI_FIELD(Linear, out), ABI_FIELD(Linear, rows), ABI_FIELD(Linear, threads), ABI_FIELD(Linear, scratch),
    ABI_STRUCT(Layer),
    ABI_FIELD(Layer, time_qkv), ABI_FIELD(Layer, time_out), ABI_FIELD(Layer, qkv), ABI_FIELD(Layer, out),
    ABI_FIELD(Layer, mlp_in), ABI_FIELD(Layer, mlp_out),
    ABI_STRUCT(Transformer),
    ABI_FIELD(Transformer, layers), ABI_FIELD(Transformer, layer_count), ABI_FIELD(Transformer, heads),
    ABI_FIELD(Transformer, x), ABI_FIELD(Transformer, y), ABI_FIELD(Transformer, batch),
    ABI_FIELD(Transformer, tokens), ABI_FIELD(Transformer, last_n), ABI_FIELD(Transformer, threads),
    ABI_FIELD(Transformer, cache), ABI_FIELD(Transformer, sessions), ABI_FIELD(Transformer, slots),
    ABI_FIELD(Transformer, keys), ABI_FIELD(Transformer, session), ABI_FIELD(Transformer, slot),
    ABI_FIELD(Transformer, mask), ABI_FIELD(Transformer, mask_batch_stride),
    ABI_FIELD(Transformer, mask_row_stride), ABI_FIELD(Transformer, frame_cache), ABI_FIELD(Transformer, frames),
    ABI_FIELD(Transformer, frame_slot), ABI_FIELD(Transformer, frame_mask), ABI_FIELD(Transformer, scratch),
    {NULL, NULL, 0, 0},
};

int64_t iafm_abi_version(void) { return IAFM_ABI_VERSION; }
const AbiField *iafm_abi_fields(void) { return FIELDS; }
