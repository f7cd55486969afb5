/* The compact library's ABI table: size of every struct, offset and size of every field. */

#include "compact.h"

static const AbiField FIELDS[] = {
    ABI_STRUCT(Product),
    ABI_FIELD(Product, x), ABI_FIELD(Product, row_stride), ABI_FIELD(Product, runs), ABI_FIELD(Product, run_length),
    ABI_FIELD(Product, run_stride), ABI_FIELD(Product, panels), ABI_FIELD(Product, line_stride),
    ABI_FIELD(Product, panel_stride), ABI_FIELD(Product, bias), ABI_FIELD(Product, residual), ABI_FIELD(Product, out),
    ABI_FIELD(Product, out_stride), ABI_FIELD(Product, rows), ABI_FIELD(Product, outputs),
    ABI_FIELD(Product, activation),
    ABI_STRUCT(Matrix),
    ABI_FIELD(Matrix, packed), ABI_FIELD(Matrix, bias), ABI_FIELD(Matrix, inputs), ABI_FIELD(Matrix, outputs),
    ABI_STRUCT(Norm),
    ABI_FIELD(Norm, weight), ABI_FIELD(Norm, bias),
    ABI_STRUCT(Attention),
    ABI_FIELD(Attention, query), ABI_FIELD(Attention, query_stride), ABI_FIELD(Attention, keys),
    ABI_FIELD(Attention, values), ABI_FIELD(Attention, slots), ABI_FIELD(Attention, bias), ABI_FIELD(Attention, out),
    ABI_FIELD(Attention, out_stride), ABI_FIELD(Attention, queries), ABI_FIELD(Attention, head_dim),
    ABI_FIELD(Attention, count), ABI_FIELD(Attention, scratch),
    ABI_STRUCT(Layer),
    ABI_FIELD(Layer, attention_norm), ABI_FIELD(Layer, mlp_norm), ABI_FIELD(Layer, qkv), ABI_FIELD(Layer, out),
    ABI_FIELD(Layer, mlp_in), ABI_FIELD(Layer, mlp_out),
    ABI_STRUCT(Decoder),
    ABI_FIELD(Decoder, layers), ABI_FIELD(Decoder, norm), ABI_FIELD(Decoder, layer_count), ABI_FIELD(Decoder, heads),
    ABI_FIELD(Decoder, head_dim), ABI_FIELD(Decoder, x), ABI_FIELD(Decoder, y), ABI_FIELD(Decoder, batch),
    ABI_FIELD(Decoder, tokens), ABI_FIELD(Decoder, last_n), ABI_FIELD(Decoder, threads), ABI_FIELD(Decoder, cache),
    ABI_FIELD(Decoder, layer_stride), ABI_FIELD(Decoder, kv_stride), ABI_FIELD(Decoder, session_stride),
    ABI_FIELD(Decoder, head_stride), ABI_FIELD(Decoder, session), ABI_FIELD(Decoder, slot),
    ABI_FIELD(Decoder, bias_index), ABI_FIELD(Decoder, keys), ABI_FIELD(Decoder, bias_batch_stride),
    ABI_FIELD(Decoder, bias_row_stride), ABI_FIELD(Decoder, bias_table), ABI_FIELD(Decoder, bias_columns),
    ABI_FIELD(Decoder, scratch),
    ABI_STRUCT(Convolution),
    ABI_FIELD(Convolution, matrix), ABI_FIELD(Convolution, kernel), ABI_FIELD(Convolution, stride),
    ABI_FIELD(Convolution, padding), ABI_FIELD(Convolution, relu),
    ABI_STRUCT(Conditioning),
    ABI_FIELD(Conditioning, layer), ABI_FIELD(Conditioning, shift),
    ABI_STRUCT(ConvStem),
    ABI_FIELD(ConvStem, layers), ABI_FIELD(ConvStem, norm), ABI_FIELD(ConvStem, layer_count),
    ABI_FIELD(ConvStem, conditioning), ABI_FIELD(ConvStem, images), ABI_FIELD(ConvStem, out), ABI_FIELD(ConvStem, batch), ABI_FIELD(ConvStem, height),
    ABI_FIELD(ConvStem, width), ABI_FIELD(ConvStem, threads), ABI_FIELD(ConvStem, scratch),
    {NULL, NULL, 0, 0},
};

int64_t iafm_abi_version(void) { return IAFM_ABI_VERSION; }
const AbiField *iafm_abi_fields(void) { return FIELDS; }
