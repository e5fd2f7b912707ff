#version 460
#extension GL_KHR_cooperative_matrix : require
#extension GL_NV_cooperative_matrix2 : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
layout(local_size_x = 32) in;
layout(constant_id = 8) const int SCOPE = gl_ScopeSubgroup;
float larger(const in float a, const in float b)
{
    return max(a, b);
}
float row_of(const in uint row, const in uint column, const in float value)
{
    return value + float(row);
}
void main()
{
    coopmat<float, SCOPE, 64, 32, gl_MatrixUseAccumulator> a = coopmat<float, SCOPE, 64, 32, gl_MatrixUseAccumulator>(1.0), b;
    coopMatPerElementNV(b, a, row_of);
    coopMatReduceNV(a, b, gl_CooperativeMatrixReduceRowNV, larger);
    coopmat<float16_t, SCOPE, 64, 32, gl_MatrixUseA> c = coopmat<float16_t, SCOPE, 64, 32, gl_MatrixUseA>(a);
}
